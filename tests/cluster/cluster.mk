# A real Kubernetes on this machine; see tests/cluster/README.md. Root on Linux, nothing is installed.
# CLUSTER names it; ARGS: --nodes 2, --control-plane-only, --kwok.
CLUSTER ?= dev
CLUSTER_COMMAND = PYTHONPATH=tests $(BIN)/python -m cluster --name $(CLUSTER)

.PHONY: cluster-prepare cluster-up cluster-down cluster-status
cluster-prepare: setup ## Build the test cluster's programs into the cache (many minutes, once)
	@$(CLUSTER_COMMAND) prepare

cluster-up: setup ## Start the test cluster, print its kubeconfig (ARGS='--nodes 2')
	@$(CLUSTER_COMMAND) up $(ARGS)

cluster-down: setup ## End the test cluster and remove everything that it made
	@$(CLUSTER_COMMAND) down

cluster-status: setup ## Say what of the test cluster runs
	@$(CLUSTER_COMMAND) status
