#include "head/catalogue/store.hpp"
#include "tests/folder.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <thread>
#include <unistd.h>

using namespace head;
using catalogue::DiscSpec;
using catalogue::Store;
using catalogue::StoreError;
using test::Folder;

namespace {

// A directory that is gone when the test ends.
DiscSpec a_disc(const std::string& name, const char* uri = "nbd://[fd00::1]/a") {
  return {.name = name, .uri = *nbd::parse_uri(uri)};
}

std::string read(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

void write(const std::filesystem::path& file, std::string_view text) {
  std::ofstream(file) << text;
}

// What opening the directory says; "" when it opens.
std::string problem_opening(const std::filesystem::path& path) {
  try {
    Store store(path);
    return "";
  } catch (const StoreError& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("discs come back after a restart", "[catalogue]") {
  const Folder folder;
  {
    Store store(folder.path / "state");
    CHECK(store.discs().empty());
    store.put(std::vector{a_disc("b"), a_disc("a")});
    store.put(std::vector{a_disc("c")});
    store.remove(std::vector<std::string>{"b", "unknown"});
  }
  Store store(folder.path / "state");
  CHECK(store.discs() == std::vector{a_disc("a"), a_disc("c")});
}

TEST_CASE("putting a disc again replaces it", "[catalogue]") {
  const Folder folder;
  Store store(folder.path);
  store.put(std::vector{a_disc("a")});
  store.put(std::vector{a_disc("a", "nbd://[fd00::2]/a")});
  REQUIRE(store.discs().size() == 1);
  CHECK(store.discs().front() == a_disc("a", "nbd://[fd00::2]/a"));
}

TEST_CASE("a leftover of an interrupted write means nothing", "[catalogue]") {
  const Folder folder;
  { Store(folder.path).put(std::vector{a_disc("a")}); }
  write(folder.path / "discs.json.new", "{\"format\": \"headst");
  Store store(folder.path);
  CHECK(store.discs() == std::vector{a_disc("a")});
  store.put(std::vector{a_disc("b")});
  CHECK(store.discs().size() == 2);
  CHECK_FALSE(std::filesystem::exists(folder.path / "discs.json.new"));
}

TEST_CASE("a file cut at any byte is refused and left as it is", "[catalogue]") {
  const Folder folder;
  { Store(folder.path).put(std::vector{a_disc("a"), a_disc("b")}); }
  const std::string whole = read(folder.path / "discs.json");
  // Without its last byte, a line feed, the text is still whole.
  const auto size = GENERATE_COPY(range(std::size_t{0}, whole.size() - 1));
  CAPTURE(size);
  write(folder.path / "discs.json", whole.substr(0, size));
  const std::string problem = problem_opening(folder.path);
  CHECK(problem.find((folder.path / "discs.json").native()) == 0);
  CHECK(problem.find("move it away") != std::string::npos);
  CHECK(read(folder.path / "discs.json") == whole.substr(0, size));
}

TEST_CASE("a file from before there were grades is read", "[catalogue]") {
  const Folder folder;
  write(folder.path / "discs.json",
        R"({"format": "headstart discs", "version": 1, "discs": [
{"connections":1,"name":"a","read_only":false,"uri":"nbd://[fd00::1]/a"}
]})");
  Store store(folder.path);
  CHECK(store.discs() == std::vector{a_disc("a")});
  CHECK(store.discs().front().grade == "standard");
}

TEST_CASE("the shape of a disc comes back with it", "[catalogue]") {
  const Folder folder;
  const nbd::ExportInfo shape{.size = INT64_MAX - 511,
                              .flags = 0x16d,
                              .block_minimum = 512,
                              .block_preferred = 8192,
                              .payload_maximum = 1 << 20,
                              .structured_replies = true,
                              .base_allocation = true};
  const auto of = [&](const char* name, const char* uri = "nbd://[fd00::1]/a") {
    return std::vector<catalogue::Shape>{
        {.name = name, .uri = *nbd::parse_uri(uri), .info = shape}};
  };
  std::string before;
  {
    Store store(folder.path);
    store.put(std::vector{a_disc("a"), a_disc("b")});
    before = read(folder.path / "discs.json");
    CHECK(before.find("shapes") == std::string::npos);
    store.remember(of("a"));
    CHECK(store.writes() == 2);
    store.remember(of("a"));                         // Nothing new,
    store.remember(of("b", "nbd://[fd00::1]/old"));  // of what it was before,
    store.remember(of("c"));                         // of nobody.
    CHECK(store.writes() == 2);
  }
  Store store(folder.path);
  CHECK(store.discs() == std::vector{a_disc("a"), a_disc("b")});
  CHECK(store.shape("a") == shape);
  CHECK_FALSE(store.shape("b"));
  CHECK_FALSE(store.shape("c"));

  DiscSpec changed = a_disc("a");
  changed.order = disc::Order::hold;
  store.put(std::span(&changed, 1));
  CHECK(store.shape("a") == shape);
  SECTION("and goes where it is detached") {
    store.remove(std::vector<std::string>{"a"});
    store.put(std::vector{a_disc("a")});
    CHECK_FALSE(store.shape("a"));
    CHECK(read(folder.path / "discs.json") == before);
  }
  SECTION("or is elsewhere") {
    store.put(std::vector{a_disc("a", "nbd://[fd00::1]/b")});
    CHECK_FALSE(store.shape("a"));
  }
}

TEST_CASE("where a disc was proven to be is kept until something else is told", "[catalogue]") {
  const Folder folder;
  const netlink::Mac there{2, 0, 0, 0, 0, 9};
  DiscSpec told = a_disc("a");
  told.lladdr = netlink::Mac{2, 0, 0, 0, 0, 1};
  told.generation = 3;
  catalogue::Proof found{.name = "a", .told = catalogue::told_of(told), .lladdr = there};
  const catalogue::Shape shape{.name = "a", .uri = told.uri, .info = {.size = 512}};
  {
    Store store(folder.path);
    store.put(std::span(&told, 1));
    store.prove(std::span(&found, 1));
    store.remember(std::span(&shape, 1));
  }
  Store store(folder.path);
  CHECK(store.proven(told) == there);
  CHECK_FALSE(store.proven(a_disc("b")));
  told.order = disc::Order::hold;
  store.put(std::span(&told, 1));
  CHECK(store.proven(told) == there);
  SECTION("by somebody") {
    ++told.generation;
    CHECK_FALSE(store.proven(told));
    store.put(std::span(&told, 1));
    CHECK(store.shape("a"));
    store.prove(std::span(&found, 1));  // Of what was told before.
  }
  SECTION("by its tail, that it is where it should be") {
    found.lladdr.reset();
    store.prove(std::span(&found, 1));
  }
  SECTION("by an editor, meanwhile") {
    std::string text = read(folder.path / "discs.json");
    const std::string before = R"("generation":3)";
    REQUIRE(text.find(before) != std::string::npos);  // The disc's, before its proof's.
    text.replace(text.find(before), before.size(), R"("generation":4)");
    const auto edited = catalogue::parse_text(text);
    REQUIRE(edited);
    CHECK(edited->at("a").spec.generation == 4);
    CHECK_FALSE(edited->at("a").proven);
    return;
  }
  CHECK_FALSE(store.proven(told));
  CHECK(read(folder.path / "discs.json").find("proven") == std::string::npos);
}

TEST_CASE("shapes of discs that an editor has changed are passed over, and damaged ones refused",
          "[catalogue]") {
  const std::string shape =
      R"("size": 512, "flags": 1, "block_minimum": 1, "block_preferred": 4096, )"
      R"("payload_maximum": 4096, "structured_replies": true, "base_allocation": true)";
  const auto with = [&](const std::string& shapes) {
    return catalogue::parse_text(R"({"format": "headstart discs", "version": 1, "discs": [)"
                                 R"({"name": "a", "uri": "nbd://[fd00::1]/a"}], "shapes": )" +
                                 shapes + "}");
  };
  const auto good = with(R"([{"name": "a", "uri": "nbd://[fd00::1]/a", )" + shape + "}]");
  REQUIRE(good);
  CHECK(good->at("a").shape->size == 512);
  const auto moved = with(R"([{"name": "a", "uri": "nbd://[fd00::1]/b", )" + shape +
                          R"(}, {"name": "b", "uri": "nbd://[fd00::1]/b", )" + shape + "}]");
  REQUIRE(moved);
  CHECK(moved->size() == 1);
  CHECK_FALSE(moved->at("a").shape);
  for (const char* bad : {"7", "[7]", "[{}]", R"([{"name": "a", "size": 512}])"})
    CHECK_FALSE(with(bad));
  std::string none = shape;
  none.replace(none.find("512"), 3, "0");
  // What no disc can be like is of no use, and no reason to serve nothing.
  const auto unsound = with(R"([{"name": "a", "uri": "nbd://[fd00::1]/a", )" + none + "}]");
  REQUIRE(unsound);
  CHECK_FALSE(unsound->at("a").shape);
}

TEST_CASE("a file of a newer version is refused and left as it is", "[catalogue]") {
  const Folder folder;
  const std::string newer = R"({"format": "headstart discs", "version": 2, "discs": []})";
  write(folder.path / "discs.json", newer);
  const std::string problem = problem_opening(folder.path);
  CHECK(problem.find("version 2") != std::string::npos);
  CHECK(read(folder.path / "discs.json") == newer);
}

TEST_CASE("what is not a list of discs is refused", "[catalogue]") {
  const auto* text =
      GENERATE("", "[]", "{}", "null", R"({"format": "other", "version": 1, "discs": []})",
               R"({"format": "headstart discs", "discs": []})",
               R"({"format": "headstart discs", "version": 1})",
               R"({"format": "headstart discs", "version": 1, "discs": [7]})",
               R"({"format": "headstart discs", "version": 1, "discs": [{"name": "a"}]})",
               R"({"format": "headstart discs", "version": 1, "discs": [
          {"name": "a", "uri": "nbd://[fd00::1]"}, {"name": "a", "uri": "nbd://[fd00::1]"}]})",
               "[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
  CAPTURE(text);
  CHECK_FALSE(catalogue::parse_text(text));
}

TEST_CASE("a state directory belongs to one daemon at a time", "[catalogue]") {
  const Folder folder;
  Store store(folder.path);
  CHECK(problem_opening(folder.path).find("--state-dir") != std::string::npos);
}

TEST_CASE("a directory that cannot be made is named", "[catalogue]") {
  const Folder folder;
  CHECK(problem_opening(folder.path / "no" / "where").find("no/where") != std::string::npos);
}

TEST_CASE("a change that cannot be written is not made", "[catalogue]") {
  const Folder folder;
  Store store(folder.path);
  store.put(std::vector{a_disc("a")});
  // A directory in the new file's place: not even root can write to it.
  std::filesystem::create_directory(folder.path / "discs.json.new");
  CHECK_THROWS_AS(store.put(std::vector{a_disc("b")}), StoreError);
  CHECK_THROWS_AS(store.remove(std::vector<std::string>{"a"}), StoreError);
  CHECK(store.discs() == std::vector{a_disc("a")});

  std::filesystem::remove(folder.path / "discs.json.new");
  store.put(std::vector{a_disc("b")});
  CHECK(store.discs().size() == 2);
}

TEST_CASE("a file that is gone is written again when it is asked for", "[catalogue]") {
  const Folder folder;
  const auto file = folder.path / "state" / "discs.json";
  Store store(folder.path / "state");
  store.prepare_for_next();
  CHECK_FALSE(std::filesystem::exists(file));  // There is nothing to say.
  store.put(std::vector{a_disc("a")});
  const std::string before = read(file);
  store.prepare_for_next();
  CHECK(store.writes() == 1);
  std::filesystem::remove(file);
  store.prepare_for_next();
  CHECK(read(file) == before);
  CHECK(store.edited().empty());
  std::filesystem::rename(folder.path / "state", folder.path / "elsewhere");
  CHECK_THROWS_AS(store.prepare_for_next(), StoreError);
  std::filesystem::rename(folder.path / "elsewhere", folder.path / "state");
  store.put(std::vector{a_disc("b")});
  CHECK(store.discs().size() == 2);
}

TEST_CASE("the next headd is not to begin with discs that others have taken away", "[catalogue]") {
  const Folder folder;
  const auto file = folder.path / "state" / "discs.json";
  Store store(folder.path / "state");
  store.put(std::vector{a_disc("a"), a_disc("b")});
  const std::string ours = read(file);
  const auto problem = [&](const std::string& text) -> std::string {
    write(file, text);
    try {
      store.prepare_for_next();
      return "";
    } catch (const StoreError& error) {
      return error.what();
    }
  };
  std::string other = ours;
  other.replace(other.find("fd00::1"), 7, "fd00::2");
  CHECK(problem(other).find("another tail for disc a") != std::string::npos);
  CHECK(problem(R"({"format": "headstart discs", "version": 1, "discs": []})").find("no disc a") !=
        std::string::npos);
  CHECK_FALSE(problem("{").empty());
  CHECK(problem(ours + "\n").empty());  // Nothing of what it says has changed.
}

TEST_CASE("many callers at once share writes and all are durable", "[catalogue]") {
  const Folder folder;
  constexpr int threads = 8;
  constexpr int each = 25;
  {
    Store store(folder.path);
    std::vector<std::jthread> callers;
    for (int t = 0; t < threads; ++t)
      callers.emplace_back([&store, t] {
        for (int i = 0; i < each; ++i) store.put(std::vector{a_disc(fmt::format("d{}-{}", t, i))});
      });
    callers.clear();
    CHECK(store.writes() <= threads * each);
    CHECK(store.discs().size() == threads * each);
  }
  CHECK(Store(folder.path).discs().size() == threads * each);
}
