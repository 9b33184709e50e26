# frozen_string_literal: true

# Against the image, with a real Redis and without the other services.

require "json"
require "minitest/autorun"
require "net/http"
require "securerandom"
require_relative "../lib/stores"

class OrdersImage < Minitest::Test
  BASE = URI("http://orders:8080")

  def test_an_order_in_redis_is_shown
    id = SecureRandom.hex(6)
    order = { id:, sku: "rope", quantity: 2, total_cents: 6860 }
    RedisStore.new("redis://redis:6379").put(id, order)
    response = Net::HTTP.get_response(BASE + "/orders/#{id}")
    assert_equal "200", response.code
    assert_equal order, JSON.parse(response.body, symbolize_names: true)
  end

  def test_an_unknown_order_is_not_found
    assert_equal "404", Net::HTTP.get_response(BASE + "/orders/00").code
  end

  def test_an_order_waits_for_nobody_who_is_not_there
    response = Net::HTTP.post(BASE + "/orders", '{"sku": "rope", "quantity": 2}')
    assert_equal "503", response.code
    assert_match(/catalogue does not answer/, response.body)
  end

  def test_a_body_that_is_no_json_is_refused
    assert_equal "400", Net::HTTP.post(BASE + "/orders", "rope, please").code
    assert_equal "400", Net::HTTP.post(BASE + "/orders", "[]").code
  end
end
