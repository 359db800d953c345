"""The catalogue of schemas and validation. The only room that imports `jsonschema`."""
