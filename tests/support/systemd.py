"""Units of systemd: what is in them, and what systemd finds wrong with them."""

import configparser
import subprocess


def read_unit(path):
    """Return the sections of a unit."""
    parser = configparser.ConfigParser(interpolation=None, delimiters='=', comment_prefixes='#', strict=True)
    parser.optionxform = str
    parser.read(path)
    return parser


def verify_unit(systemd_analyze, path):
    """Return what systemd finds wrong with a unit, an empty text if it finds nothing.

    :param systemd_analyze: the path of the program.
    """
    done = subprocess.run([systemd_analyze, 'verify', '--man=no', str(path)], capture_output=True, text=True)
    return done.stdout + done.stderr
