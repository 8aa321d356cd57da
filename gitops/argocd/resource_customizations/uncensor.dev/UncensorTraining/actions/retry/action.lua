-- A new value of the annotation starts a stalled run again; the old one counts as done.
local annotation = "uncensor.dev/retry"
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
local now = os.date("!%Y-%m-%dT%H:%M:%SZ")
if obj.metadata.annotations[annotation] == now then
  now = now .. "-again"
end
obj.metadata.annotations[annotation] = now
return obj
