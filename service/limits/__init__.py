"""How much may be asked of a provider: requests and tokens a minute, streams at once."""
