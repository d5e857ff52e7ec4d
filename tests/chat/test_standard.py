"""LangChain's own tests of chat models, for ChatSparrow with the sparrow-mini that ships.

What it cannot do is declared by the suite's properties; what it does not say is tested.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from PIL import Image

from sparrow.backend import Backend
from sparrow.chat import ChatSparrow


class _Declared:
    """What ChatSparrow is, in the words of the suite."""

    backend: Backend
    video: Path

    @pytest.fixture(autouse=True)
    def _with(self, backend: Backend, clip_path: Path) -> None:
        type(self).backend, type(self).video = backend, clip_path

    @property
    def chat_model_class(self) -> type[ChatSparrow]:
        return ChatSparrow

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"backend": self.backend, "video": self.video}

    @property
    def has_tool_calling(self) -> bool:
        return False  # it answers about videos; tools.py is for models that call tools

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def supports_json_mode(self) -> bool:
        return False

    @property
    def supports_model_override(self) -> bool:
        return False  # one loaded model

    @property
    def supports_pdf_inputs(self) -> bool:
        return False

    @property
    def supports_audio_inputs(self) -> bool:
        return False

    @property
    def supports_image_tool_message(self) -> bool:
        return False  # what tools say is not for this model

    @property
    def supports_pdf_tool_message(self) -> bool:
        return False

    @property
    def supports_anthropic_inputs(self) -> bool:
        return False

    @property
    def enable_vcr_tests(self) -> bool:
        return False  # nothing is sent that could be recorded

    @property
    def supports_image_inputs(self) -> bool:
        return True  # a video of one frame

    @property
    def supports_image_urls(self) -> bool:
        return False  # nothing is fetched unless its host is allowed

    @property
    def supports_video_inputs(self) -> bool:
        return True


class TestUnit(_Declared, ChatModelUnitTests):
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"SPARROW_MODEL": "/models/my-sparrow"}, {}, {"model": "/models/my-sparrow"}


class TestIntegration(_Declared, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hand the suite a picture drawn here in place of the one that it would fetch."""
        drawn = BytesIO()
        Image.new("RGB", (64, 48), "teal").save(drawn, "png")
        monkeypatch.setattr(
            httpx, "get", lambda *_, **__: httpx.Response(200, content=drawn.getvalue())
        )
