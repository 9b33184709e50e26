# frozen_string_literal: true

# POST /orders {"sku": "rope", "quantity": 2}    places an order
# GET  /orders/<id>                              shows one

require_relative "lib/http_server"
require_relative "lib/neighbours"
require_relative "lib/orders"
require_relative "lib/stores"

$stdout.sync = true
store = ENV["REDIS_URL"] ? RedisStore.new(ENV["REDIS_URL"]) : MemoryStore.new
orders = Orders.new(store, Neighbours.new)

server = HttpServer.new(Integer(ENV.fetch("PORT", "8080"))) do |request|
  case [request.verb, request.path]
  in ["GET", "/healthz"] then [200, { status: "ok" }]
  in ["GET", "/version"] then [200, { service: "orders", version: ENV.fetch("SLIPWAY_VERSION", "unknown") }]
  in ["POST", "/orders"] then [201, orders.place(JSON.parse(request.body, symbolize_names: true))]
  in ["GET", %r{\A/orders/(?<id>[0-9a-f]+)\z}] then [200, orders.find(request.path.split("/").last)]
  else [404, { error: "no such page" }]
  end
rescue Orders::Refused => e
  [e.status, { error: e.message }]
rescue JSON::ParserError
  [400, { error: "the body must be a JSON object" }]
end

trap("TERM") { server.stop }
trap("INT") { server.stop }
puts "orders listens on #{server.port}"
server.run
puts "orders stopped"
