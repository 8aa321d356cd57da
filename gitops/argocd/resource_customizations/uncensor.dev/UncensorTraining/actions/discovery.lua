-- Which actions a run offers now.

local stalled, finished = false, false
if obj.status ~= nil then
  for _, condition in ipairs(obj.status.conditions or {}) do
    if condition.type == "Stalled" then
      stalled = condition.status == "True"
    elseif condition.type == "Succeeded" then
      finished = condition.status == "True"
    end
  end
end

local deleting = obj.metadata.deletionTimestamp ~= nil
local suspended = obj.spec.suspend == true
return {
  suspend = { disabled = suspended or finished or deleting },
  resume = { disabled = not suspended or deleting },
  retry = { disabled = not stalled or deleting },
}
