-- Save, stop, and give the nodes back.
obj.spec.suspend = true
return obj
