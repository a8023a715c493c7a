-- wrk script: of four requests one moves money, one asks for an account, one for its latest postings, one for its balance.
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
  local account = math.random(1, accounts)
  local path = "/api/v1/accounts/" .. account
  local turn = count % 4
  if turn == 1 then return wrk.format("GET", path) end
  if turn == 2 then return wrk.format("GET", path .. "/postings?limit=20") end
  if turn == 3 then return wrk.format("GET", "/balance/" .. account) end
  local headers = {
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = run .. "-" .. thread_number .. "-" .. count,
  }
  local to = account % accounts + 1
  local body = string.format('{"type":"transfer","from":"%d","to":"%d","amount":"1.00","currency":"EUR"}', account, to)
  return wrk.format("POST", "/api/v1/transfers", headers, body)
end
