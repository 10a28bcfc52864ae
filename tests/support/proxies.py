"""Configurations of proxies under accounts of their own, as Debian runs them. None adds more than it does by itself."""

NGINX = """
user {account};
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{backend};
            {more}
        }}
    }}
}}
"""

APACHE = """
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
User {account}
Group {account}
ServerName localhost
PidFile {folder}/pid
ErrorLog /dev/stderr
Listen 127.0.0.1:{port}
{more}
ProxyPass / http://127.0.0.1:{backend}/
"""

HAPROXY = """
global
    user {account}
    group {account}
defaults
    mode http
    timeout connect 20s
    timeout client 20s
    timeout server 20s
    {more}
frontend everybody
    bind 127.0.0.1:{port}
    default_backend application
backend application
    server application 127.0.0.1:{backend}
"""

CADDY = """
{{
    admin off
    auto_https off
}}
:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{backend} {{
        {more}
    }}
}}
"""

# the template, and the command that runs it in the folder where it is ``proxy.conf``
PROXIES = {
    'nginx': (NGINX, ['nginx', '-p', '.', '-c', 'proxy.conf', '-e', 'stderr', '-g', 'daemon off;']),
    'apache': (APACHE, ['apache2', '-d', '.', '-f', 'proxy.conf', '-DFOREGROUND']),
    'haproxy': (HAPROXY, ['haproxy', '-db', '-f', 'proxy.conf']),
    # the only one that is started under its account
    'caddy': (CADDY, ['caddy', 'run', '--adapter', 'caddyfile', '--config', 'proxy.conf']),
}


def write_proxy(kind, folder, *, account, port, backend, more=''):
    """Write the configuration of a proxy into a folder, and return the command to run there.

    :param more: lines for the section that passes requests on.
    """
    text, command = PROXIES[kind]
    text = text.format(account=account, folder=folder, port=port, backend=backend, more=more)
    (folder / 'proxy.conf').write_text(text)
    return command
