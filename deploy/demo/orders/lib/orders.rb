# frozen_string_literal: true

require "json"
require "securerandom"

# Takes orders: what was ordered, and what it costs according to the services that know.
class Orders
  class Refused < StandardError
    attr_reader :status

    def initialize(status, message)
      @status = status
      super(message)
    end
  end

  # `neighbours.get(service, path)` answers a parsed body, nil for "not found", or raises IOError.
  def initialize(store, neighbours)
    @store = store
    @neighbours = neighbours
  end

  def place(wanted)
    raise Refused.new(400, "an order is a JSON object") unless wanted.is_a?(Hash)

    quantity = wanted[:quantity]
    raise Refused.new(400, "quantity must be a whole number from 1 to 100") unless quantity.is_a?(Integer) && quantity.between?(1, 100)

    product = ask("catalogue", "/products/#{sku(wanted)}")
    price = ask("pricing", "/price?sku=#{product[:sku]}&grams=#{product[:grams] * quantity}")
    order = { id: SecureRandom.hex(6), sku: product[:sku], quantity:,
              total_cents: price[:cents] * quantity + price[:shipping_cents] }
    @store.put(order[:id], order)
    order
  end

  def find(id) = @store.get(id) || raise(Refused.new(404, "no such order"))

  private

  def sku(wanted)
    wanted[:sku].to_s[/\A[a-z0-9-]{1,40}\z/] || raise(Refused.new(400, "sku must be the number of a product"))
  end

  def ask(service, path)
    @neighbours.get(service, path) || raise(Refused.new(404, "#{service} knows no such product"))
  rescue IOError, SystemCallError => e
    raise Refused.new(503, "#{service} does not answer: #{e.message}")
  end
end
