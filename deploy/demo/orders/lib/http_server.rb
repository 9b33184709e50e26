# frozen_string_literal: true

require "json"
require "socket"

# A small HTTP/1.1 server: one thread per connection, one request per connection, JSON in and out.
class HttpServer
  Request = Struct.new(:verb, :path, :body)

  LARGEST_BODY = 64 * 1024
  PATIENCE = 10 # seconds for a client to send its request, and for open requests when stopping

  def initialize(port, &handler)
    @handler = handler
    @listener = TCPServer.new("0.0.0.0", port)
    @listener.listen(128)
    @wake, @stop = IO.pipe
    @open = {}
    @guard = Mutex.new
  end

  def port = @listener.addr[1]

  # Safe to call from a signal handler.
  def stop = @stop.write_nonblock("x")

  # Takes connections until it is stopped, then finishes the requests under way.
  def run
    loop do
      ready, = IO.select([@listener, @wake])
      break if ready.include?(@wake)

      accept
    end
    # Whoever waits in the queue is still answered; the next finds nobody listening.
    nil while accept
    @listener.close
    deadline = now + PATIENCE
    @guard.synchronize { @open.keys }.each { |thread| thread.join([deadline - now, 0].max) }
  end

  private

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def accept
    client = @listener.accept_nonblock(exception: false)
    return false if client == :wait_readable

    @guard.synchronize do
      thread = Thread.new { serve(client) }
      @open[thread] = true
    end
    true
  rescue SystemCallError
    true # the client was gone before it was taken
  end

  def serve(client)
    request = read(client)
    status, body = request ? @handler.call(request) : [400, { error: "not a request" }]
    reply(client, status, body)
  rescue IOError, SystemCallError
    nil # the client is gone
  rescue StandardError => e
    warn "#{e.class}: #{e.message}"
    reply(client, 500, { error: "internal error" })
  ensure
    client.close
    @guard.synchronize { @open.delete(Thread.current) }
  end

  def read(client)
    client.timeout = PATIENCE if client.respond_to?(:timeout=)
    verb, path, = client.gets("\r\n", 8192)&.split
    return unless path

    length = 0
    while (line = client.gets("\r\n", 8192)) && line != "\r\n"
      length = line.split(":", 2).last.to_i if line.downcase.start_with?("content-length:")
    end
    return if length.negative? || length > LARGEST_BODY

    Request.new(verb, path.split("?").first, client.read(length))
  end

  def reply(client, status, body)
    payload = JSON.generate(body)
    client.write("HTTP/1.1 #{status} #{status < 400 ? 'OK' : 'Error'}\r\nContent-Type: application/json\r\n" \
                 "Content-Length: #{payload.bytesize}\r\nConnection: close\r\n\r\n#{payload}")
  end
end
