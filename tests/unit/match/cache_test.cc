#include "match/cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "rules_fixture.h"

namespace weir::match {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& p) {
  std::ifstream in(p, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write(const fs::path& p, const std::string& text) {
  std::ofstream(p, std::ios::binary) << text;
  ASSERT_EQ(chmod(p.c_str(), 0600), 0);
}
mode_t mode_of(const fs::path& p) {
  struct stat st {};
  EXPECT_EQ(stat(p.c_str(), &st), 0) << p;
  return st.st_mode & 07777U;
}

const std::vector<Pattern> kPatterns = {{"^/abc[0-9]+", 0, false, true}, {"xyz$", 1, true, true}};

class CacheTest : public testing::Test {
 protected:
  CacheTest() {
    std::string name = testing::TempDir() + "weir-cache-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root = name;
    dir = root / "a" / "b";
  }
  ~CacheTest() override { fs::remove_all(root); }

  // The file that a store makes.
  fs::path fill() {
    const Cache cache(dir, kPatterns);
    std::string note;
    cache.store(*Database::compile(kPatterns), note);
    EXPECT_EQ(note, "");
    return dir / cache.file();
  }
  // Whether it is used as it is now; `note` is left for a closer look.
  bool loads() {
    note.clear();
    return Cache(dir, kPatterns).load(note).has_value();
  }

  fs::path root, dir;
  std::string note;
};

TEST_F(CacheTest, TheSecondCompilationComesFromItAndMatchesTheSame) {
  const std::vector<Rule> rules = {pool(S::kPath, "^/a+$", 0), tag(S::kHost, "B"),
                                   caseless(deny(S::kHeader, "q", "h"))};
  Rig first(rules, dir), second(rules, dir);
  EXPECT_FALSE(first.set.from_cache());
  EXPECT_TRUE(second.set.from_cache());
  EXPECT_EQ(first.set.cache_note() + second.set.cache_note(), "");
  for (Rig* rig : {&first, &second}) {
    EXPECT_EQ(rig->verdict({{S::kHost, "abc"}, {S::kPath, "/aaa"}}, 1), 0);
    EXPECT_EQ(rig->verdict({{S::kHost, "abc"}, {S::kPath, "/b"}, {S::kHeader, "Q", "H"}}), 2);
    EXPECT_EQ(rig->tags(), (Ids{1}));
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(dir), {}), 1);
}

TEST_F(CacheTest, AnythingThatMattersToTheDatabaseMakesAnother) {
  fill();
  EXPECT_TRUE(loads());
  auto others = std::vector<std::vector<Pattern>>(6, kPatterns);
  others[0][0].expression += "x";
  others[1][0].caseless = true;
  others[2][0].once = false;
  others[3][0].id = 2;
  std::swap(others[4][0], others[4][1]);
  others[5].pop_back();
  for (const auto& patterns : others) {
    EXPECT_FALSE(Cache(dir, patterns).load(note).has_value());
  }
  EXPECT_EQ(note, "");
}

TEST_F(CacheTest, WithoutAFolderNothingIsKept) {
  const Cache cache("", kPatterns);
  cache.store(*Database::compile(kPatterns), note);
  EXPECT_FALSE(cache.load(note).has_value());
  EXPECT_EQ(note, "");
}

TEST_F(CacheTest, IsForItsOwnerAlone) {
  const fs::path file = fill();
  EXPECT_EQ(mode_of(dir), 0700U);
  EXPECT_EQ(mode_of(dir.parent_path()), 0700U);
  EXPECT_EQ(mode_of(file), 0600U);
  for (const mode_t bad : {0620U, 0602U}) {
    chmod(file.c_str(), bad);
    EXPECT_FALSE(loads());
    EXPECT_NE(note.find("others may write"), std::string::npos) << note;
  }
  chmod(file.c_str(), 0600);
  ASSERT_TRUE(loads());
  for (const mode_t bad : {0770U, 0702U, 01777U}) {
    chmod(dir.c_str(), bad);
    EXPECT_FALSE(loads());
    EXPECT_NE(note.find("others may write"), std::string::npos) << note;
    fs::remove(file);
    Cache(dir, kPatterns).store(*Database::compile(kPatterns), note);
    EXPECT_FALSE(fs::exists(file));
    chmod(dir.c_str(), 0700);
    fill();
  }
  if (geteuid() == 0) {  // another's, as only root can arrange it
    ASSERT_EQ(chown(file.c_str(), 1, 1), 0);
    EXPECT_FALSE(loads());
    ASSERT_EQ(chown(file.c_str(), 0, 0), 0);
    ASSERT_EQ(chown(dir.c_str(), 1, 1), 0);
    EXPECT_FALSE(loads());
    ASSERT_EQ(chown(dir.c_str(), 0, 0), 0);
    EXPECT_TRUE(loads());
  }
}

TEST_F(CacheTest, ALinkOrAnythingElseInPlaceOfTheFileIsNotFollowed) {
  const fs::path file = fill();
  const fs::path elsewhere = root / "elsewhere";
  fs::rename(file, elsewhere);
  fs::create_symlink(elsewhere, file);
  EXPECT_FALSE(loads());
  EXPECT_NE(note, "");
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_FALSE(loads());
  fs::remove(file);
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  EXPECT_FALSE(loads());
  const std::string before = read(elsewhere);
  fs::remove(file);
  fs::create_symlink(elsewhere, file);
  fill();  // replaces the link, not what it names
  EXPECT_FALSE(fs::is_symlink(file));
  EXPECT_EQ(read(elsewhere), before);
}

TEST_F(CacheTest, AFlippedBitAnywhereIsSeen) {
  const fs::path file = fill();
  const std::string good = read(file);
  ASSERT_GT(good.size(), 500U);
  const std::size_t step = std::max<std::size_t>(1, good.size() / 1'500);
  for (std::size_t at = 0; at < good.size(); at += at < 200 ? 1 : step) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    write(file, bad);
    ASSERT_FALSE(loads()) << "octet " << at;
    ASSERT_NE(note.find("damaged"), std::string::npos) << note;
  }
  write(file, good);
  EXPECT_TRUE(loads());
}

TEST_F(CacheTest, AFileCutShortOrTooLongIsSeen) {
  const fs::path file = fill();
  const std::string good = read(file);
  for (std::size_t n = 0; n < good.size(); n += n < 100 ? 1 : 1 + good.size() / 300) {
    write(file, good.substr(0, n));
    ASSERT_FALSE(loads()) << n << " octets";
  }
  write(file, good + '\0');
  EXPECT_FALSE(loads());
  write(file, good + good);
  EXPECT_FALSE(loads());
}

TEST_F(CacheTest, AWholeFileOfOtherPatternsUnderThisNameIsSeen) {
  const fs::path file = fill();
  auto other = kPatterns;
  other[0].expression = "^/abd[0-9]+";  // as long as the right one
  const Cache cache(dir, other);
  cache.store(*Database::compile(other), note);
  ASSERT_NE(dir / cache.file(), file);
  fs::rename(dir / cache.file(), file);
  EXPECT_FALSE(loads());
}

TEST_F(CacheTest, WhatIsDamagedIsCompiledAnewAndReplaced) {
  const std::vector<Rule> rules = {pool(S::kPath, "a", 0)};
  Rig first(rules, dir);
  const fs::path file = fs::directory_iterator(dir)->path();
  write(file, read(file).substr(1));
  Rig second(rules, dir);
  EXPECT_FALSE(second.set.from_cache());
  EXPECT_NE(second.set.cache_note().find("damaged, compiled anew"), std::string::npos);
  EXPECT_EQ(second.verdict({{S::kPath, "a"}}), 0);
  Rig third(rules, dir);
  EXPECT_TRUE(third.set.from_cache());
}

TEST_F(CacheTest, AFolderThatCannotBeMadeIsAsGoodAsNone) {
  write(root / "file", "");
  Rig rig({pool(S::kPath, "a", 0)}, root / "file" / "sub");
  EXPECT_FALSE(rig.set.from_cache());
  EXPECT_NE(rig.set.cache_note(), "");
  EXPECT_EQ(rig.verdict({{S::kPath, "a"}}), 0);
}

TEST_F(CacheTest, KeepsAtMostItsMaximumAndNothingButItsOwnGoes) {
  fill();
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(48);
  for (std::size_t i = 0; i < kMaxCached + 5; ++i) {
    const fs::path p = dir / ("old" + std::to_string(i) + ".hsdb");
    write(p, "x");
    fs::last_write_time(p, long_ago + std::chrono::seconds(i));
  }
  write(dir / "1.2.hsdb.tmp", "x");
  fs::last_write_time(dir / "1.2.hsdb.tmp", long_ago);
  write(dir / "notes", "mine");
  fs::last_write_time(dir / "notes", long_ago);
  const fs::path file = fill();
  EXPECT_TRUE(fs::exists(file));
  EXPECT_TRUE(fs::exists(dir / "notes"));
  EXPECT_FALSE(fs::exists(dir / "1.2.hsdb.tmp"));
  EXPECT_FALSE(fs::exists(dir / "old0.hsdb"));
  EXPECT_TRUE(fs::exists(dir / ("old" + std::to_string(kMaxCached + 4) + ".hsdb")));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir), {}),
            static_cast<std::ptrdiff_t>(kMaxCached + 1));
  EXPECT_TRUE(loads());
}

}  // namespace
}  // namespace weir::match
