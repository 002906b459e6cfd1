"""The operator: watches ModelDeployments, decides in `engine`, acts through `adapters`."""
