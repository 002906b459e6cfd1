"""Who may ask for what: keys, tokens, and the gate that both front ends ask."""
