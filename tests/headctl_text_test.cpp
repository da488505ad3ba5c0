#include "tools/headctl/failure.hpp"
#include "tools/headctl/import_file.hpp"
#include "tools/headctl/text.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace headctl;
using nlohmann::json;

namespace {

std::string refusal(const std::string& file, std::string_view text) {
  try {
    parse_import(file, text);
    return "";
  } catch (const Failure& failure) {
    CHECK(failure.status == Exit::invalid);
    return failure.what();
  }
}

}  // namespace

TEST_CASE("sizes and times are short and in fitting units", "[headctl]") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(std::uint64_t{1} << 30) == "1 GiB");
  CHECK(human_bytes(~std::uint64_t{0}) == "16 EiB");
  CHECK(human_time(0) == "0");
  CHECK(human_time(85e-6) == "85 µs");
  CHECK(human_time(1.25e-3) == "1.25 ms");
  CHECK(human_time(3.1) == "3.10 s");
  CHECK(human_age(5) == "5s");
  CHECK(human_age(300) == "5m");
  CHECK(human_age(-1) == "0s");
  CHECK(human_age(1e6) == "12d");
}

TEST_CASE("a table's columns are aligned, and absent cells are seen", "[headctl]") {
  Table table({{"NAME"}, {"P99", true}, {"WHY"}});
  table.add({"a", "85 µs", ""});
  table.add({"longer", "1.25 ms", "x"});
  table.add({"short"});
  CHECK(table.text() ==
        "NAME        P99  WHY\n"
        "a         85 µs  -\n"
        "longer  1.25 ms  x\n"
        "short         -  -\n");
}

TEST_CASE("colour and unicode are only where the style has them", "[headctl]") {
  constexpr Style plain{}, unicode{.unicode = true}, colour{.unicode = true, .colour = true};
  Table table({{"STATE", false, tone_of}, {"P99", true}});
  table.add({"failed", "85 µs"});
  table.add({"ready", "1 ms"});
  CHECK(table.text(plain) == "STATE     P99\nfailed  85 us\nready    1 ms\n");
  CHECK(table.text(unicode) == "STATE     P99\nfailed  85 µs\nready    1 ms\n");
  // What is aligned without colour is aligned with it.
  CHECK(table.text(colour) ==
        "\033[1mSTATE\033[0m     \033[1mP99\033[0m\n"
        "\033[1;31mfailed\033[0m  85 µs\n"
        "\033[32mready\033[0m    1 ms\n");
  CHECK(spelled("µ and µs", plain) == "u and us");
  CHECK(progress_bar(1, 4, 8, plain) == "[##......]");
  CHECK(progress_bar(1, 4, 4, unicode) == "[█░░░]");
  CHECK(progress_bar(9, 4, 4, plain) == "[####]");
  CHECK(progress_bar(0, 0, 4, plain) == "[####]");
}

TEST_CASE("a list is split into parts that fit, in its order", "[headctl]") {
  json discs = json::array();
  for (int i = 0; i < 10; ++i) discs.push_back({{"name", std::to_string(i)}});
  const auto joined = [](const std::vector<json>& parts) {
    json all = json::array();
    for (const json& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  const auto by_count = split(discs, 4, 1000);
  REQUIRE(by_count.size() == 3);
  CHECK(by_count[0].size() == 4);
  CHECK(by_count[2].size() == 2);
  CHECK(joined(by_count) == discs);

  const auto by_bytes = split(discs, 100, 30);  // {"name":"0"}, and a comma
  CHECK(by_bytes.size() == 5);
  CHECK(joined(by_bytes) == discs);

  CHECK(split(discs, 100, 1).size() == 10);
  CHECK(split(discs, 10, 1000).size() == 1);
  REQUIRE(split(json::array(), 10, 10).size() == 1);
  CHECK(split(json::array(), 10, 10)[0] == json::array());
}

TEST_CASE("a name that is in a list twice is found", "[headctl]") {
  const json a = {{"name", "a"}}, b = {{"name", "b"}};
  CHECK_FALSE(repeated_name({a, b}));
  CHECK(repeated_name({a, b, b, a}) == std::size_t{2});
  CHECK_FALSE(repeated_name({7, 7, {{"name", 7}}, {{"name", 7}}, json::object(), nullptr}));
}

TEST_CASE("a sheet leaves out what is empty", "[headctl]") {
  Sheet sheet;
  sheet.add("name", "a");
  sheet.add("problem", "");
  sheet.add("in_flight", "3");
  CHECK(sheet.text() == "name       a\nin_flight  3\n");
}

TEST_CASE("a list is read as lines, as JSON and as TOML alike", "[headctl]") {
  const json wanted = {{{"name", "a"},
                        {"uri", "nbd://[fd00::1]/"},
                        {"lladdr", "52:54:00:12:34:56"},
                        {"read_only", true},
                        {"connections", 2},
                        {"grade", "true"}},
                       {{"name", "b"}, {"uri", "nbd://[fd00::2]/"}}};
  CHECK(*parse_import("list",
                      "# discs\na nbd://[fd00::1]/ lladdr=52:54:00:12:34:56 read_only=true "
                      "connections=2 grade=true\n\n  b nbd://[fd00::2]/ # last\n")
             .discs == wanted);
  CHECK(*parse_import("list", wanted.dump()).discs == wanted);
  CHECK(*parse_import("list", json{{"discs", wanted}}.dump()).discs == wanted);
  CHECK(*parse_import("list.toml",
                      "[[disc]]\nname = 'a'\nuri = 'nbd://[fd00::1]/'\n"
                      "lladdr = '52:54:00:12:34:56'\nread_only = true\nconnections = 2\n"
                      "grade = 'true'\n"
                      "[[disc]]\nname = 'b'\nuri = 'nbd://[fd00::2]/'\n")
             .discs == wanted);
  CHECK(parse_import("list", "[[disc]]\nname = 'a'\n").discs->size() == 1);
  CHECK(parse_import("list", "").discs->empty());
}

TEST_CASE("each disc of a list knows its line", "[headctl]") {
  for (const char* text : {"a x", "[]", "[[disc]]"}) CHECK(parse_import("l", text).name == "l");
  CHECK(parse_import("l", "\na x\n# no\nb y\n").lines == std::vector<std::size_t>{2, 4});
  CHECK(parse_import("l.toml", "\n[[disc]]\na = 1\n[[disc]]\n").lines ==
        std::vector<std::size_t>{2, 4});
}

TEST_CASE("a list that cannot be read is refused with its line", "[headctl]") {
  CHECK(refusal("l", "a x\nb\n").find("l:2: ") == 0);
  CHECK(refusal("l", "a x what\n").find("l:1: what") == 0);
  CHECK(refusal("l.json", "[\n{\n").find("l.json:3: ") == 0);
  CHECK(refusal("l.json", "{\"disks\": []}").find("l.json:1: ") == 0);
  CHECK(refusal("l.toml", "\n[[disc]\n").find("l.toml:2: ") == 0);
  CHECK(refusal("l.toml", "disc = 7\n").find("l.toml:1: ") == 0);
  CHECK(refusal("l.toml", "disc = [7]\n").find("l.toml:1: ") == 0);
  CHECK_THROWS_AS(read_import("/"), Failure);
  CHECK_THROWS_AS(read_import("/nonexistent/list"), Failure);
}
