"""The section `selfsup` of config.yaml, its defaults where nothing else is said."""

from mmcl.schema import fill_defaults, load_schema, merge


def selfsup(**more):
    """Settings with these on top."""
    schema = load_schema()
    return merge(fill_defaults({}, schema["$defs"]["selfsup"], schema), more)
