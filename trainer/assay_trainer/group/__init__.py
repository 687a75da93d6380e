"""One trainer on several of its operator's machines: a leader with the key, assistants that share its inner steps."""
