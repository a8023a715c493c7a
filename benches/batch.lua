-- wrk script: independent batches of 1,000 transfers between accounts 1 to ACCOUNTS, each under a key of its own.
local thread_count = 0
function setup(thread)
  thread:set("thread_number", thread_count)
  thread_count = thread_count + 1
end
function init(args)
  accounts = tonumber(os.getenv("ACCOUNTS") or "1000")
  run = os.getenv("RUN") or tostring(os.time())
  count = 0
  -- The client shares the processors with the server: it builds a batch from parts made beforehand, and only the keys
  -- are new each time.
  parts = {}
  for i = 1, 1000 do
    local from = (i * 7919) % accounts + 1
    parts[i] = string.format('-%d","type":"transfer","from":"%d","to":"%d","amount":"1.00","currency":"EUR"}', i, from, from % accounts + 1)
  end
end
function request()
  count = count + 1
  local key = '{"idempotency_key":"' .. run .. "-" .. thread_number .. "-" .. count
  local body = '{"mode":"independent","transfers":[' .. key .. table.concat(parts, "," .. key) .. "]}"
  return wrk.format("POST", "/api/v1/transfers/batch", { ["Content-Type"] = "application/json" }, body)
end
