"""The plugin host: `inventory` lists, `loading` imports, `calls` asks, `choices` is what a config holds."""
