// What an operator wants done with what guests ask of a disc, and what follows from that and from
// how the disc fares. Values and pure decisions.
#pragma once

#include "iouring/timer.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace head::disc {

enum class Order : std::uint8_t {
  serve,
  hold,  // Requests wait: nothing more is sent to the tail.
  fail,  // Requests are answered with EIO.
};

inline constexpr std::array<std::string_view, 3> order_names = {"serve", "hold", "fail"};

constexpr std::string_view to_string(Order order) noexcept {
  return order_names[static_cast<std::size_t>(order)];
}

constexpr std::optional<Order> parse_order(std::string_view name) noexcept {
  for (std::size_t i = 0; i < order_names.size(); ++i)
    if (order_names[i] == name) return static_cast<Order>(i);
  return std::nullopt;
}

struct Standing {
  Order order = Order::serve;
  // For so long guests wait for a tail that does not answer, then they get EIO until it does; zero
  // for however long it takes.
  iouring::Duration grace{};

  bool operator==(const Standing&) const = default;
};

enum class Course : std::uint8_t { send, keep, refuse };

// `gave_up`: the grace time is over, and the tail has not come back since.
constexpr Course course(const Standing& standing, bool gave_up) noexcept {
  switch (standing.order) {
    case Order::hold:
      return Course::keep;
    case Order::fail:
      return Course::refuse;
    case Order::serve:
      break;
  }
  return gave_up ? Course::refuse : Course::send;
}

// `silent`: for so long the tail has not answered what was asked, or there was no connection to it.
// Who is held by an operator may be held for longer than any grace.
constexpr bool grace_is_over(const Standing& standing, iouring::Duration silent) noexcept {
  return standing.order != Order::hold && standing.grace.count() != 0 && silent >= standing.grace;
}

}  // namespace head::disc
