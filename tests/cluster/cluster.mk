# A real Kubernetes on this machine; see tests/cluster/README.md. Root on Linux, nothing is installed.
# CLUSTER names it; ARGS: --nodes 2, --control-plane-only, --kwok.
CLUSTER ?= dev
# Which cluster `make test` uses: 1 is one of its own, a name is one that runs, nothing is none.
UNCENSOR_CLUSTER ?= 1
CLUSTER_COMMAND = PYTHONPATH=tests $(BIN)/python -m cluster --name $(CLUSTER)

.PHONY: cluster-prepare cluster-if-possible cluster-up cluster-down cluster-status
cluster-prepare: setup ## Build the test cluster's programs and images into the cache (once, minutes)
	@$(CLUSTER_COMMAND) prepare

# Outside of pytest, where a build may take longer than a test.
cluster-if-possible: setup
	@test -z "$(UNCENSOR_CLUSTER)" || $(CLUSTER_COMMAND) prepare --if-possible

cluster-up: setup ## Start the test cluster, print its kubeconfig (ARGS='--nodes 2')
	@$(CLUSTER_COMMAND) up $(ARGS)

cluster-down: setup ## End the test cluster and remove everything that it made
	@$(CLUSTER_COMMAND) down

cluster-status: setup ## Say what of the test cluster runs
	@$(CLUSTER_COMMAND) status
