# frozen_string_literal: true

require "json"
require "socket"
require "uri"

# Keeps orders for as long as the process lives.
class MemoryStore
  def initialize
    @orders = {}
    @guard = Mutex.new
  end

  def put(id, order) = @guard.synchronize { @orders[id] = order }
  def get(id) = @guard.synchronize { @orders[id] }
end

# Keeps orders in Redis, where every replica finds them.
class RedisStore
  def initialize(url)
    @address = URI(url)
  end

  def put(id, order) = call("SET", "order:#{id}", JSON.generate(order))

  def get(id)
    found = call("GET", "order:#{id}")
    found && JSON.parse(found, symbolize_names: true)
  end

  private

  # One command in Redis's own protocol (https://redis.io/docs/latest/develop/reference/protocol-spec/).
  def call(*words)
    Socket.tcp(@address.host, @address.port || 6379, connect_timeout: 2) do |redis|
      redis.write("*#{words.size}\r\n" + words.map { |word| "$#{word.bytesize}\r\n#{word}\r\n" }.join)
      answer(redis)
    end
  end

  def answer(redis)
    line = redis.gets("\r\n", chomp: true) or raise IOError, "redis closed the connection"
    case line[0]
    when "+" then line[1..]
    when "$"
      length = line[1..].to_i
      length.negative? ? nil : redis.read(length).force_encoding("UTF-8")
    else raise IOError, "redis says #{line}"
    end
  end
end
