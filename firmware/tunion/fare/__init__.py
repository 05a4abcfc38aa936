"""What a ride costs. The same functions price it on the validator and again in clearing."""
