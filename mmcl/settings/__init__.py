"""What can be set: one typed model for each section of config.yaml and for each stage of the workflow.

Light to import: pydantic and the standard library. See `mmcl.settings.base` for what all models have in common and
`mmcl.settings.tables` for what can be chosen by name.
"""
