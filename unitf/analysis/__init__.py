"""Analysis: what a model attends to, what a batch holds, what a step costs, what lies near."""
