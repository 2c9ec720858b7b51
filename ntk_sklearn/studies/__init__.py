"""What networks of finite width do beside their limit: functions that return arrays."""
