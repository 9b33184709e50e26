# frozen_string_literal: true

require "json"
require "net/http"

# The other services, each found under its name.
class Neighbours
  def get(service, path)
    http = Net::HTTP.new(service, 8080)
    http.open_timeout = http.read_timeout = 2
    response = http.get(path)
    return nil if response.code == "404"
    raise IOError, "status #{response.code}" unless response.code == "200"

    JSON.parse(response.body, symbolize_names: true)
  rescue SocketError, Timeout::Error, JSON::ParserError => e
    raise IOError, e.message
  end
end
