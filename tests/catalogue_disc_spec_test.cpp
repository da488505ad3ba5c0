#include "head/catalogue/disc_spec.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace head;
using catalogue::DiscSpec;
using catalogue::spec_from_json;
using nlohmann::json;

namespace {

json full() {
  return {{"name", "web-1.a_b"},
          {"uri", "nbd://[fd00::1]:10810/web1"},
          {"lladdr", "52:54:00:12:34:56"},
          {"dev", "eth0"},
          {"read_only", true},
          {"connections", 4},
          {"grade", "gold-2"},
          {"grace_s", 90},
          {"order", "hold"},
          {"durability", "writethrough"},
          {"identity", "first-block"}};
}

// What is said when `member` is `value`.
std::string problem_with(const char* member, json value) {
  json disc = full();
  disc[member] = std::move(value);
  const auto spec = spec_from_json(disc);
  return spec ? "" : spec.error();
}

}  // namespace

TEST_CASE("a disc survives the way through JSON", "[catalogue]") {
  const auto spec = spec_from_json(full());
  REQUIRE(spec);
  CHECK(spec->name == "web-1.a_b");
  CHECK(spec->uri.port == 10810);
  CHECK(spec->lladdr == netlink::Mac{0x52, 0x54, 0, 0x12, 0x34, 0x56});
  CHECK(spec->dev == "eth0");
  CHECK(spec->read_only);
  CHECK(spec->connections == 4);
  CHECK(spec->grade == "gold-2");
  CHECK(spec->grace == std::chrono::seconds(90));
  CHECK(spec->order == disc::Order::hold);
  CHECK(spec->durability == head::nbd::Durability::writethrough);
  CHECK(spec->identity == head::disc::Identity::first_block);
  const auto again = spec_from_json(catalogue::to_json(*spec));
  REQUIRE(again);
  CHECK(*again == *spec);
}

TEST_CASE("a name and a uri are enough", "[catalogue]") {
  const auto spec = spec_from_json({{"name", "a"}, {"uri", "nbd://[fd00::1]"}});
  REQUIRE(spec);
  CHECK_FALSE(spec->lladdr);
  CHECK(spec->dev.empty());
  CHECK_FALSE(spec->read_only);
  CHECK(spec->connections == 1);
  CHECK(spec->grade == "standard");
  CHECK(spec->grace.count() == 0);
  CHECK(spec->order == disc::Order::serve);
  CHECK_FALSE(spec->durability);
  CHECK_FALSE(spec->identity);
  CHECK_FALSE(spec_from_json({{"name", "a"}}));
  CHECK_FALSE(spec_from_json({{"uri", "nbd://[fd00::1]"}}));
  CHECK_FALSE(spec_from_json(json::array()));
}

TEST_CASE("a name cannot lead out of its directory", "[catalogue]") {
  for (const char* name : {"", ".", "..", ".hidden", "a/b", "-a", "a b", "ä", "a\n"})
    CHECK_FALSE(catalogue::is_name(name));
  CHECK(catalogue::is_name(std::string(64, 'a')));
  CHECK_FALSE(catalogue::is_name(std::string(65, 'a')));
  CHECK(catalogue::is_name("0"));
}

TEST_CASE("every wrong member is named together with the disc", "[catalogue]") {
  CHECK(problem_with("uri", 7).find("disc web-1.a_b: \"uri\"") == 0);
  CHECK(problem_with("uri", "http://x").find("disc web-1.a_b: ") == 0);
  for (const json& lladdr : {json("52:54"), json("00:00:00:00:00:00"), json("01:00:5e:00:00:01"),
                             json("ff:ff:ff:ff:ff:ff"), json(1)})
    CHECK(problem_with("lladdr", lladdr).find("\"lladdr\"") != std::string::npos);
  for (const json& dev : {json(""), json("a/b"), json("sixteen-letters-"), json("."), json(2)})
    CHECK(problem_with("dev", dev).find("\"dev\"") != std::string::npos);
  for (const json& connections :
       {json(0), json(17), json(-1), json(1.5), json("2"), json(std::uint64_t{1} << 63)})
    CHECK(problem_with("connections", connections).find("\"connections\"") != std::string::npos);
  CHECK(problem_with("read_only", "yes").find("\"read_only\"") != std::string::npos);
  for (const json& identity : {json("name"), json(""), json(1), json(nullptr)})
    CHECK(problem_with("identity", identity) ==
          "disc web-1.a_b: \"identity\" is \"shape\", \"last-writes\" or \"first-block\"");
  for (const json& durability : {json("durable"), json(""), json(1), json(nullptr)})
    CHECK(problem_with("durability", durability)
              .find("disc web-1.a_b: \"durability\" is \"writeback\", ") == 0);
  for (const json& grade : {json(""), json(std::string(33, 'a')), json("Gold"), json("a b"),
                            json("a_b"), json("\xc3\xa4"), json(1), json(nullptr)})
    CHECK(problem_with("grade", grade).find("disc web-1.a_b: \"grade\" is a word") == 0);
  CHECK(problem_with("grade", std::string(32, 'a')).empty());
  for (const json& grace : {json(-1), json(1.5), json("1"), json(nullptr), json(2'592'001)})
    CHECK(problem_with("grace_s", grace).find("\"grace_s\" is a whole number") !=
          std::string::npos);
  for (const json& order : {json("stop"), json(0), json(nullptr), json("Hold")})
    CHECK(problem_with("order", order).find("\"order\" is \"serve\"") != std::string::npos);
  CHECK(problem_with("readonly", true).find("no \"readonly\"") != std::string::npos);
  CHECK(problem_with("name", "a b").find("\"a b\"") == 0);
}

TEST_CASE("null stands for an absent address or interface", "[catalogue]") {
  CHECK(problem_with("lladdr", nullptr).empty());
  CHECK(problem_with("dev", nullptr).empty());
}
