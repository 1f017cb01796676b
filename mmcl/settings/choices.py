"""Types whose allowed values are the names of the tables."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mmcl.settings import tables


class OneOf:
    """Allows the names in a table, as they are when a value is validated.

    A literal would hold the names that were there when the models were defined, and not what a test or plug-in adds.
    """

    def __init__(self, table: Iterable[str]):
        self.table = table

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._check, serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.table)}

    def _check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.table:
            raise PydanticCustomError(
                "one_of", "not one of the allowed values", {"allowed": list(self.table)}
            )
        return str(value)


ReaderName = Annotated[str, OneOf(tables.READERS)]
Backbone = Annotated[str, OneOf(tables.BACKBONES)]
Adapter = Annotated[str, OneOf(tables.ADAPTERS)]
Architecture = Annotated[str, OneOf(tables.DETECTORS)]
PoseArchitecture = Annotated[str, OneOf(tables.ESTIMATORS)]
FeederName = Annotated[str, OneOf(tables.FEEDERS)]
Graph = Annotated[str, OneOf(tables.GRAPHS)]
Stream = Annotated[str, OneOf(tables.STREAMS)]
