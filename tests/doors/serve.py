"""Serves the application with a server that is a library: ``python -m tests.doors.serve KIND PORT``."""

import sys

from .application import application

HOST = '127.0.0.1'


def wsgiref(port):
    from wsgiref.simple_server import make_server

    make_server(HOST, port, application).serve_forever()


def paste(port):
    from paste.httpserver import serve

    serve(application, HOST, port)


def bjoern(port):
    import bjoern

    bjoern.run(application, HOST, port)


def uvicorn_asgiref(port):
    import uvicorn
    from asgiref.wsgi import WsgiToAsgi

    uvicorn.run(WsgiToAsgi(application), host=HOST, port=port)


def uvicorn_a2wsgi(port):
    import uvicorn
    from a2wsgi import WSGIMiddleware

    uvicorn.run(WSGIMiddleware(application), host=HOST, port=port)


def cheroot(port):
    from cheroot.wsgi import Server

    Server((HOST, port), application).start()


def werkzeug(port):
    from werkzeug.serving import run_simple

    run_simple(HOST, port, application, threaded=True)


def tornado(port):
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop
    from tornado.wsgi import WSGIContainer

    HTTPServer(WSGIContainer(application)).listen(port, HOST)
    IOLoop.current().start()


def twisted(port):
    from twisted.internet import reactor
    from twisted.web.server import Site
    from twisted.web.wsgi import WSGIResource

    reactor.listenTCP(port, Site(WSGIResource(reactor, reactor.getThreadPool(), application)), interface=HOST)
    reactor.run()


def gevent(port):
    from gevent.pywsgi import WSGIServer

    WSGIServer((HOST, port), application).serve_forever()


if __name__ == '__main__':
    globals()[sys.argv[1]](int(sys.argv[2]))
