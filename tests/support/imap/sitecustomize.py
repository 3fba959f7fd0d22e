"""Lets real duplicity reach an IMAP server at any port: it knows 143 and 993 alone, whatever the URL says.

Python reads this file at its start when its folder is in PYTHONPATH. duplicity 3.2.1 cannot speak IMAP as it is: its module
uses `log` and does not import it.
"""

import builtins
import imaplib
import os

if "DUPR_TEST_IMAP_PORT" in os.environ:
    port = int(os.environ["DUPR_TEST_IMAP_PORT"])

    connect = imaplib.IMAP4._create_socket

    def _create_socket(self, *rest):
        self.port = port
        return connect(self, *rest)

    imaplib.IMAP4._create_socket = _create_socket

    class Log:
        def __getattr__(self, name):
            from duplicity import log

            return getattr(log, name)

    builtins.log = Log()
