#include "head/catalogue/disc_spec.hpp"

#include "netlink/format.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <net/if.h>

namespace head::catalogue {

namespace {

using nlohmann::json;

bool is_alphanumeric(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// What the kernel takes as an interface name (dev_valid_name() in net/core/dev.c).
bool is_interface(std::string_view text) noexcept {
  if (text.empty() || text.size() >= IFNAMSIZ || text == "." || text == "..") return false;
  return std::none_of(text.begin(), text.end(), [](char c) {
    return c == '/' || c == ':' || static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
  });
}

// Takes one member after the other; the first one that is wrong is kept.
class Members {
 public:
  explicit Members(const json& from) : from_(from) {}

  void take(DiscSpec& into) {
    for (const auto& [key, value] : from_.items()) {
      if (!problem_.empty()) return;
      take(into, key, value);
    }
    if (!problem_.empty()) return;
    if (into.name.empty()) problem_ = "a disc needs a \"name\"";
    if (problem_.empty() && !has_uri_)
      problem_ = fmt::format("disc {} needs a \"uri\", nbd://[ADDRESS]/EXPORT say", into.name);
  }

  std::string& problem() { return problem_; }

 private:
  void take(DiscSpec& into, const std::string& key, const json& value) {
    if (key == "name") return take_name(into, value);
    if (key == "uri") return take_uri(into, value);
    if (key == "lladdr") return take_lladdr(into, value);
    if (key == "generation") return keep(into.generation, key, generation_from_json(value));
    if (key == "lladdr_seen") return take_bool(into.lladdr_seen, key, value);
    if (key == "dev") return take_dev(into, value);
    if (key == "read_only") return take_bool(into.read_only, key, value);
    if (key == "connections") return take_connections(into, value);
    if (key == "grade") return take_grade(into, value);
    if (key == "grace_s") return keep(into.grace, key, grace_from_json(value));
    if (key == "order") return keep(into.order, key, order_from_json(value));
    if (key == "durability") return take_durability(into, value);
    if (key == "identity") return take_identity(into, value);
    problem_ = fmt::format(
        "{}: a disc has no \"{}\"; it has name, uri, lladdr, generation, dev, read_only, "
        "connections, grade, grace_s, order, durability and identity",
        whose(), key.substr(0, 40));
  }

  void take_name(DiscSpec& into, const json& value) {
    if (!value.is_string() || !is_name(value.get_ref<const std::string&>())) {
      problem_ = fmt::format(
          "\"{}\" cannot be a disc's name: it begins with a letter or digit and has at most {} "
          "letters, digits, dots, underscores and hyphens",
          value.is_string() ? value.get_ref<const std::string&>().substr(0, 80) : value.type_name(),
          name_max);
      return;
    }
    into.name = value.get<std::string>();
  }

  void take_uri(DiscSpec& into, const json& value) {
    if (!value.is_string()) return wrong("uri", "is a string, nbd://[ADDRESS]/EXPORT say");
    auto uri = nbd::parse_uri(value.get_ref<const std::string&>());
    if (!uri) {
      problem_ = fmt::format("{}: {}", whose(), uri.error());
      return;
    }
    into.uri = *uri;
    has_uri_ = true;
  }

  void take_lladdr(DiscSpec& into, const json& value) {
    if (value.is_null()) return;
    const auto lladdr = lladdr_from_json(value);
    if (!lladdr) return wrong("lladdr", lladdr.error());
    into.lladdr = *lladdr;
  }

  void take_dev(DiscSpec& into, const json& value) {
    if (value.is_null()) return;
    if (!value.is_string() || !is_interface(value.get_ref<const std::string&>()))
      return wrong("dev", "is the name of a network interface, at most 15 characters long");
    into.dev = value.get<std::string>();
  }

  void take_bool(bool& into, const std::string& key, const json& value) {
    if (!value.is_boolean()) return wrong(key, "is true or false");
    into = value.get<bool>();
  }

  void take_connections(DiscSpec& into, const json& value) {
    if (!value.is_number_integer() || value < 1 || value > connections_max)
      return wrong("connections", fmt::format("is a whole number from 1 to {}", connections_max));
    into.connections = value.get<unsigned>();
  }

  void take_grade(DiscSpec& into, const json& value) {
    if (!value.is_string() || !is_grade(value.get_ref<const std::string&>()))
      return wrong("grade", fmt::format("is a word of 1 to {} of a-z, 0-9 and hyphens, "
                                        "\"standard\" say",
                                        grade_max));
    into.grade = value.get<std::string>();
  }

  template <class Value>
  void keep(Value& into, std::string_view member, const Result<Value, std::string_view>& value) {
    if (!value) return wrong(member, value.error());
    into = *value;
  }

  void take_durability(DiscSpec& into, const json& value) {
    into.durability = value.is_string() ? nbd::parse_durability(value.get_ref<const std::string&>())
                                        : std::nullopt;
    if (!into.durability) wrong("durability", "is \"writeback\", \"writethrough\" or \"replay\"");
  }

  void take_identity(DiscSpec& into, const json& value) {
    into.identity = value.is_string() ? disc::parse_identity(value.get_ref<const std::string&>())
                                      : std::nullopt;
    if (!into.identity) wrong("identity", "is \"shape\", \"last-writes\" or \"first-block\"");
  }

  void wrong(std::string_view member, std::string_view rule) {
    problem_ = fmt::format("{}: \"{}\" {}", whose(), member, rule);
  }

  std::string whose() const {
    const auto name = from_.find("name");
    if (name != from_.end() && name->is_string() && is_name(name->get_ref<const std::string&>()))
      return "disc " + name->get_ref<const std::string&>();
    return "a disc";
  }

  const json& from_;
  bool has_uri_ = false;
  std::string problem_;
};

}  // namespace

bool is_name(std::string_view text) noexcept {
  return !text.empty() && text.size() <= name_max && is_alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_grade(std::string_view text) noexcept {
  return !text.empty() && text.size() <= grade_max &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

Result<netlink::Mac, std::string_view> lladdr_from_json(const json& value) {
  const auto lladdr =
      value.is_string() ? netlink::parse_mac(value.get_ref<const std::string&>()) : std::nullopt;
  if (!lladdr) return Failure{std::string_view("is written like 52:54:00:12:34:56")};
  if (!netlink::is_unicast(*lladdr))
    return Failure{std::string_view(
        "is the address of one machine, neither zero nor multicast nor broadcast")};
  return *lladdr;
}

Result<std::uint64_t, std::string_view> generation_from_json(const json& value) {
  if (!value.is_number_unsigned() || value > generation_max)
    return Failure{std::string_view("is a whole number from 0 to 2^53")};
  return value.get<std::uint64_t>();
}

Result<std::chrono::seconds, std::string_view> grace_from_json(const json& value) {
  if (!value.is_number_integer() || value < 0 || value > grace_max.count())
    return Failure{
        std::string_view("is a whole number of seconds from 0, for no limit, to 2592000")};
  return std::chrono::seconds(value.get<std::int64_t>());
}

Result<disc::Order, std::string_view> order_from_json(const json& value) {
  const auto order =
      value.is_string() ? disc::parse_order(value.get_ref<const std::string&>()) : std::nullopt;
  if (!order) return Failure{std::string_view("is \"serve\", \"hold\" or \"fail\"")};
  return *order;
}

json to_json(const DiscSpec& spec) {
  json object = {{"name", spec.name},
                 {"uri", nbd::to_string(spec.uri)},
                 {"read_only", spec.read_only},
                 {"connections", spec.connections},
                 {"grade", spec.grade}};
  if (spec.lladdr) object["lladdr"] = netlink::to_string(*spec.lladdr);
  if (spec.generation != 0) object["generation"] = spec.generation;
  if (spec.lladdr_seen) object["lladdr_seen"] = true;
  if (!spec.dev.empty()) object["dev"] = spec.dev;
  if (spec.grace.count() != 0) object["grace_s"] = spec.grace.count();
  if (spec.order != disc::Order::serve) object["order"] = disc::to_string(spec.order);
  if (spec.durability) object["durability"] = nbd::to_string(*spec.durability);
  if (spec.identity) object["identity"] = disc::to_string(*spec.identity);
  return object;
}

Result<DiscSpec, std::string> spec_from_json(const json& from) {
  if (!from.is_object())
    return Failure{
        fmt::format("a disc is an object with a name and a uri, not {}", from.type_name())};
  DiscSpec spec;
  Members members(from);
  members.take(spec);
  if (!members.problem().empty()) return Failure{std::move(members.problem())};
  return spec;
}

}  // namespace head::catalogue
