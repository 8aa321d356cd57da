-- Health of an UncensorTraining. Its status is kstatus-formatted: Reconciling while the operator
-- works, Stalled when it waits for a person, Ready when the results stand. Argo CD runs this
-- without the string library, so nothing here needs one.

local function health(status, message)
  return { status = status, message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "The run is being deleted.")
end

local status = obj.status
if status == nil or status.observedGeneration == nil or status.observedGeneration < 0 then
  return health("Progressing", "The operator has not seen the run yet.")
end
if obj.metadata.generation ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "The operator has not seen the last change of the spec yet.")
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is_true(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

local function message_of(kind, otherwise)
  local condition = conditions[kind]
  if condition ~= nil and condition.message ~= nil and condition.message ~= "" then
    return condition.message
  end
  return otherwise
end

-- Stalled comes first: a run that was suspended after it stalled still needs a person.
if is_true("Stalled") then
  return health("Degraded", message_of("Stalled", "The run waits for a person."))
end
if is_true("Suspended") then
  return health("Suspended", message_of("Suspended", "The run is suspended."))
end
if is_true("Reconciling") then
  return health("Progressing", message_of("Reconciling", "The operator works on the run."))
end
if is_true("Ready") then
  return health("Healthy", message_of("Ready", "The results stand."))
end
return health("Progressing", message_of("Ready", "The run is not ready yet."))
