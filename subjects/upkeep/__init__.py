"""What a study needs now and then: dropping what can be made again, and upgrading."""
