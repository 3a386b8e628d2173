"""A PostgreSQL server for the duration of a benchmark."""
import contextlib
import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile


def program(name):
    """The path of a program of PostgreSQL, which Debian keeps out of the search path."""
    places = [shutil.which(name)] + sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)
    return next((place for place in places if place), None)


def missing():
    return [name for name in ("initdb", "pg_ctl", "psql", "pgbench") if program(name) is None]


def user():
    """The options to run a program as a user that PostgreSQL accepts, and the user."""
    if os.geteuid() != 0:
        return {}, None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}, entry
    sys.exit("PostgreSQL does not run as root, and there is no user postgres or nobody")


class Server:
    """A server of its own in a temporary directory."""

    def __init__(self, directory, connections):
        self.connections = connections
        self.options, entry = user()
        self.folder = tempfile.mkdtemp(prefix="postgres-", dir=directory)
        if entry:
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self.environment = {**os.environ, "PGHOST": self.folder, "PGUSER": "bench", "PGDATABASE": "postgres"}

    def run(self, name, *arguments, text=None):
        result = subprocess.run([program(name), *arguments], input=text, text=True, cwd=self.folder,
                                env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **self.options)
        if result.returncode != 0:
            raise RuntimeError(f"{name} failed:\n{result.stdout}")
        return result.stdout

    def start(self, name, *arguments):
        return subprocess.Popen([program(name), *arguments], cwd=self.folder, env=self.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.options)

    def __enter__(self):
        try:
            self.data = os.path.join(self.folder, "data")
            self.run("initdb", "--pgdata", self.data, "--username", "bench", "--auth", "trust", "--no-locale",
                     "--encoding", "UTF8")
            with open(os.path.join(self.data, "postgresql.conf"), "a") as file:
                file.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\nfsync = on\n"
                           f"synchronous_commit = on\nmax_connections = {self.connections}\n")
            self.run("pg_ctl", "--pgdata", self.data, "--log", os.path.join(self.folder, "log"), "--wait", "start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if os.path.exists(os.path.join(self.data, "postmaster.pid")):
            subprocess.run([program("pg_ctl"), "--pgdata", self.data, "--mode", "immediate", "--wait", "stop"],
                           cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.options)
        shutil.rmtree(self.folder, ignore_errors=True)

    def script(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o644)
        return path
