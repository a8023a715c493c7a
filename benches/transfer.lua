-- wrk script: single transfers between accounts 1 to ACCOUNTS, each under a key of its own.
local thread_count = 0
function setup(thread)
  thread:set("thread_number", thread_count)
  thread_count = thread_count + 1
end
function init(args)
  accounts = tonumber(os.getenv("ACCOUNTS") or "1000")
  run = os.getenv("RUN") or tostring(os.time())
  count = 0
  math.randomseed(os.time() * 1000 + thread_number)
end
function request()
  count = count + 1
  local from = math.random(1, accounts)
  local to = from % accounts + 1
  local headers = {
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = run .. "-" .. thread_number .. "-" .. count,
  }
  local body = string.format('{"type":"transfer","from":"%d","to":"%d","amount":"1.00","currency":"EUR"}', from, to)
  return wrk.format("POST", "/api/v1/transfers", headers, body)
end
local refused = 0
function response(status)
  if status ~= 201 then
    refused = refused + 1
    if refused == 1 then io.stderr:write("a transfer was answered with " .. status .. "\n") end
  end
end
