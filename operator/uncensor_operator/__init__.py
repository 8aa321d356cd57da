"""API, plan, command line and operator of the Uncensor Operator."""
