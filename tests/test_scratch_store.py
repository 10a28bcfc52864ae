import subprocess, sys


def test_pg(postgresql):
    p = subprocess.run([sys.executable, '/tmp/try.py', postgresql], capture_output=True, text=True)
    print(p.stdout[-3000:], p.stderr[-3000:])
    assert p.returncode == 0
