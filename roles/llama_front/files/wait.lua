-- A request waits here while none of the servers of its backend takes requests: one of them is being replaced.
-- HAProxy itself would answer 503 at once. Copyright (c) 2026, LlamaOps contributors; GPL-3.0-or-later.

local PAUSE = 50 -- milliseconds between two looks

local function taken(backend)
  for _, name in ipairs({ "main", "next" }) do
    local status = backend.servers[name]:get_stats().status
    if status:sub(1, 2) == "UP" or status == "no check" then
      return true
    end
  end
  return false
end

core.register_action("wait_for_server", { "http-req" }, function(_, name, seconds)
  local backend, left = core.backends[name], tonumber(seconds) * 1000
  while left > 0 and not taken(backend) do
    core.msleep(PAUSE)
    left = left - PAUSE
  end
end, 2)
