-- Health of FederationTrust and WorkloadBinding. Their conditions are as kstatus wants them.
local waiting = {status = "Progressing", message = "Waiting for Apostille's controller"}
if obj.status == nil or obj.status.conditions == nil then
  return waiting
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return waiting
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local ready = conditions.Ready
if ready == nil then
  return waiting
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
if ready.reason == "Suspended" or ready.reason == "NotYet" then
  return {status = "Suspended", message = ready.message}
end
local stalled = conditions.Stalled ~= nil and conditions.Stalled.status == "True"
if stalled or ready.reason == "Expired" or ready.reason == "ForeignUsers" then
  return {status = "Degraded", message = ready.message}
end
return {status = "Progressing", message = ready.message}
