"""Our model server beside others: the same models, the same load, the same processor."""
