"""What the package says of itself, without torch."""

import subprocess
import sys


def test_importing_it_imports_no_torch():
    code = "import unitf_image, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_all_it_registers_is_there():
    import unitf_image

    names = []
    unitf_image.register_tokenizers(names.append)
    unitf_image.register_sources(names.append)
    assert len(names) == 5
    for name in names:
        module, cls = name.split(":")
        assert getattr(unitf_image, cls).__module__ == module
    registered = {name.split(":")[1] for name in names}
    assert set(unitf_image.__all__) == {"ImageAugmentation", "Placement", *registered}
