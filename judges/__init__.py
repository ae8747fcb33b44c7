"""What scores: LLM judges, verifiers, rule-based rewards."""
