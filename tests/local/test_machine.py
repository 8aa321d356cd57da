from uncensor_operator.local.machine import look_at_machine

SMI = "#!/bin/sh\necho 81559\necho 81559\n"


def test_facts_about_this_machine(tmp_path):
    machine = look_at_machine(tmp_path / "not" / "there" / "yet")
    assert machine.cores >= 1
    assert machine.memory_bytes > 2**28
    assert machine.disk_bytes > 0


def fake_driver(folder, monkeypatch, script=SMI):
    tool = folder / "nvidia-smi"
    tool.write_text(script)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_gpus_are_counted_by_the_tool_of_the_driver(tmp_path, monkeypatch):
    fake_driver(tmp_path, monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine = look_at_machine(tmp_path)
    assert (machine.gpus, machine.gpu_memory_bytes) == (2, 81559 * 2**20)


def test_hidden_gpus_do_not_count(tmp_path, monkeypatch):
    fake_driver(tmp_path, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert look_at_machine(tmp_path).gpus == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert look_at_machine(tmp_path).gpus == 0


def test_a_broken_driver_means_no_gpu(tmp_path, monkeypatch):
    fake_driver(tmp_path, monkeypatch, "#!/bin/sh\nexit 9\n")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert look_at_machine(tmp_path).gpus == 0
