// The page: a player, its views, and what connects them. Every frame draws from the state of the core at the position.

import type { Abi } from "../common/abi.ts";
import { abiOf } from "../common/core-module.ts";
import type { EventAddress } from "../common/trace/address.ts";
import { readEvent } from "../common/trace/event.ts";
import { eachRegion } from "../common/trace/event-regions.ts";
import { NO_LOG } from "../common/trace/event-table.ts";
import { type LogMemory, readLogs } from "../common/trace/log-memory.ts";
import { AddressBar } from "./address-bar.ts";
import type { Core } from "./core.ts";
import { keyTable } from "./key-table.ts";
import { listenToKeys } from "./keys.ts";
import { Lines } from "./model/lines.ts";
import { Opener } from "./opener.ts";
import { Player } from "./player.ts";
import { Simulation } from "./sources/simulation.ts";
import type { Source } from "./sources/source.ts";
import { Theme } from "./theme.ts";
import { BatchingView } from "./views/batching-view.ts";
import { ConversationView } from "./views/conversation-view.ts";
import { DetailView } from "./views/detail-view.ts";
import { byId, setText } from "./views/dom.ts";
import { Help } from "./views/help.ts";
import { Knobs } from "./views/knobs.ts";
import { Legend } from "./views/legend.ts";
import { LogList } from "./views/log-list.ts";
import { MapView } from "./views/map-view.ts";
import { type Palette, readPalette } from "./views/palette.ts";
import { RegionPanel } from "./views/region-panel.ts";
import { Scrubber } from "./views/scrubber.ts";
import { Story } from "./views/story.ts";
import { listenForTraces } from "./views/trace-chooser.ts";
import { Transport } from "./views/transport.ts";

/** How many events of one frame make their regions flash; more would be a blur anyway. */
const FLASHED_EVENTS_MAX = 256;
/** While playing, parts that are costly or read aloud are drawn no more often than this. */
const SLOW_MS = 250;
/** While events are being read, the page is drawn no more often than this. */
const READING_MS = 600;
const SAY_MS = 5000;
const REST_MS = 100;
/** Between two attempts to find a live server again. */
const RECONNECT_MS = 2000;
const NO_LOG_WORDS = "There is no log at this event.";
const UNKNOWN_WORDS = "The trace does not hold the core's state here, so the page can show the events but no map.";

export class App {
  readonly player: Player;
  readonly map = new MapView();
  private readonly abi: Abi;
  private readonly theme = new Theme(byId("theme"));
  private readonly story = new Story();
  private readonly knobs = new Knobs();
  private readonly legend = new Legend();
  private readonly logList = new LogList();
  private readonly regionPanel: RegionPanel;
  private readonly conversation: ConversationView;
  private readonly detail: DetailView;
  private readonly batching: BatchingView;
  private readonly scrubber: Scrubber;
  private readonly transport: Transport;
  private readonly address: AddressBar;
  private readonly opener: Opener;
  private readonly status = byId("status");
  private readonly stillness = matchMedia("(prefers-reduced-motion: reduce)");
  private lines: Lines | null = null;
  private palette: Palette;
  private isStale = true;
  private hasGrown = false;
  private drawnMs = -Infinity;
  private positionDrawn = -1;
  private slowDrawnMs = -Infinity;
  private detailKey = "";
  private detailSinceMs = 0;
  private saidMs = -Infinity;
  private connectedMs = 0;

  constructor(private readonly core: Core) {
    const { module, console } = core;
    this.abi = abiOf(module);
    this.palette = readPalette();
    this.player = new Player(module);
    const changed = () => this.changed();
    this.regionPanel = new RegionPanel(this.abi);
    this.conversation = new ConversationView(this.abi, ({ trace }) => new Lines(this.abi, console, trace));
    this.detail = new DetailView(this.abi, console);
    this.batching = new BatchingView(this.abi);
    this.scrubber = new Scrubber(this.abi);
    this.transport = new Transport(this.player, changed);
    this.opener = new Opener(
      core,
      this.abi,
      (source, position) => this.load(source, position),
      (words) => this.failed(words),
    );
    this.address = new AddressBar(this.player, (words) => this.say(words));
    const { player, map, scrubber } = this;
    const copyLink = () => void this.address.copyLink();
    const toggleTheme = () => this.theme.toggle();
    const toggleHelp = () => help.toggle();
    const keys = keyTable({ player, map, scrubber, copyLink, toggleTheme, toggleHelp }, changed);
    const help = new Help(keys);
    listenToKeys(keys);
    this.connect(changed);
    requestAnimationFrame((nowMs) => this.frame(nowMs));
  }

  /** Opens what the address says. */
  open(): void {
    void this.opener.openAddress();
  }

  load(source: Source, position: number | EventAddress): void {
    this.player.load(source, position);
  }

  seek(position: number): void {
    this.player.seek(position);
    this.changed();
  }

  /** The log that is shown now, or null where none is. */
  get log(): LogMemory | null {
    return this.logList.choose(this.logs());
  }

  private changed(): void {
    this.isStale = true;
  }

  private connect(changed: () => void): void {
    const { player, map, conversation, scrubber, batching, knobs } = this;
    player.onSource = () => this.sourceChanged();
    player.onSay = (words) => this.say(words);
    this.theme.onChange = () => {
      this.palette = readPalette();
      changed();
    };
    map.onChange = changed;
    map.onSelect = changed;
    scrubber.onChange = changed;
    scrubber.onSeek = (position) => this.seek(position);
    batching.onChange = changed;
    batching.onSeek = (event) => this.seek(event + 1);
    conversation.onChange = changed;
    conversation.onChoose = ({ event }) => this.seek(event + 1);
    this.detail.onRegion = (region) => map.select(region);
    this.regionPanel.onSeek = (position) => this.seek(position);
    this.logList.onChange = changed;
    knobs.onBegin = (settings) => this.opener.openMachine(settings);
    knobs.onDeed = (deed) => {
      const { source, timeline } = player;
      if (!(source instanceof Simulation)) return;
      // An action happens at the latest instant, because the past cannot be changed.
      player.seek(timeline.trace.eventCount);
      source.do(deed);
      player.isPlaying = true;
      changed();
    };
    const showLive = byId("show-live");
    showLive.hidden = this.opener.livePath === undefined;
    showLive.addEventListener("click", () => void this.opener.openLive());
    byId("show-simulation").addEventListener("click", () => this.opener.openScene());
    listenForTraces((file) => void this.opener.openFile(file));
    byId("copy-link").addEventListener("click", () => void this.address.copyLink());
    window.addEventListener("hashchange", () => {
      if (!this.address.isOwn) this.open();
    });
  }

  private sourceChanged(): void {
    const { source, timeline } = this.player;
    this.lines = new Lines(this.abi, this.core.console, timeline.trace);
    this.conversation.load(timeline);
    this.scrubber.load(timeline);
    this.detail.reset();
    this.map.selected = null;
    this.map.flashes.clear();
    this.knobs.load(source instanceof Simulation ? source : null);
    this.positionDrawn = -1;
    this.changed();
  }

  private frame(nowMs: number): void {
    requestAnimationFrame((next) => this.frame(next));
    const { isMoved, isGrown } = this.player.tick(nowMs);
    if (!this.player.hasSource) return;
    const { progress } = this.player;
    const isPlaying = this.player.isPlaying && !this.player.isFollowing;
    this.reconnect(nowMs);
    if (isGrown) this.hasGrown = true;
    const isDue = this.hasGrown && nowMs - this.drawnMs > (progress === null ? SLOW_MS : READING_MS);
    // A changed text costs a drawing of the page; while much is being read, reading has priority.
    if (progress === null && nowMs - this.saidMs > SAY_MS) setText(this.status, "");
    else if (progress !== null && isDue) setText(this.status, `${Math.floor(100 * progress)} % of the events are read`);
    if (isMoved || isPlaying || isDue || this.isStale || !this.map.flashes.isEmpty) this.draw(nowMs);
    this.address.tick(nowMs);
  }

  /** A page that follows a live server also follows the next one. If the user has stopped at an event, the page stays there. */
  private reconnect(nowMs: number): void {
    const { source, isFollowing } = this.player;
    if (!isFollowing || source.problem === null || nowMs - this.connectedMs < RECONNECT_MS) return;
    this.connectedMs = nowMs;
    void this.opener.openLive().then(() => {
      if (this.player.source !== source) this.say("The live server is back.");
    });
  }

  /** Draws everything from the state at the position. */
  draw(nowMs: number): void {
    this.isStale = false;
    this.hasGrown = false;
    this.drawnMs = nowMs;
    const { player, palette, map } = this;
    const { timeline } = player;
    this.flash(nowMs);
    const logs = this.logs();
    const log = this.logList.draw(logs);
    const number = this.numberOf(log);
    const memory = timeline.engine?.bytes().buffer as ArrayBuffer | undefined;
    const subject = log === null || memory === undefined ? null : { abi: this.abi, memory, log };
    const isKnown = timeline.engine !== null;
    map.draw(subject ?? (isKnown ? NO_LOG_WORDS : UNKNOWN_WORDS), palette, nowMs);
    this.legend.draw(map.stateCounts, log?.recovering ?? null);
    this.scrubber.draw(palette, nowMs);
    this.transport.draw();
    this.conversation.draw(number);
    this.batching.draw(timeline, log, number, this.scrubber.sight, palette, nowMs);
    if (player.isPlaying && nowMs - this.slowDrawnMs < SLOW_MS) {
      this.isStale = true;
      return;
    }
    this.slowDrawnMs = nowMs;
    this.story.draw(timeline, log, map.stateCounts);
    this.regionPanel.draw(timeline, subject, number, map.selected);
    this.drawDetail(nowMs);
    this.knobs.draw();
    const title = byId("source-title");
    setText(title, this.titleWords());
    title.title = title.textContent ?? "";
  }

  private titleWords(): string {
    const { source, timeline } = this.player;
    const recorded = timeline.trace.sections[0]?.coreSha256 ?? "";
    const isOther = recorded !== this.core.sha256 && recorded !== "unknown" && this.core.sha256 !== "unknown";
    const other = isOther ? "recorded with another core: states are what this page's makes of it" : "";
    return [source.title, other, source.problem ?? "", timeline.problem ?? ""]
      .filter((words) => words !== "")
      .join(" · ");
  }

  /** Drawing a full event takes longer than a frame, so it is drawn when the position rests. */
  private drawDetail(nowMs: number): void {
    const { timeline } = this.player;
    const { chosen } = this.conversation;
    const key = `${timeline.position} ${chosen.event} ${chosen.place}`;
    if (key !== this.detailKey) {
      this.detailKey = key;
      this.detailSinceMs = nowMs;
    }
    if (this.lines !== null && nowMs - this.detailSinceMs >= REST_MS) this.detail.draw(timeline, this.lines, chosen);
    else this.isStale = true;
  }

  private logs(): LogMemory[] {
    const engine = this.player.hasSource ? this.player.timeline.engine : null;
    return engine === null ? [] : readLogs(this.abi, engine.bytes().buffer as ArrayBuffer);
  }

  /** The number that the trace gives to a log, or NO_LOG. */
  private numberOf(log: LogMemory | null): number {
    if (log === null) return NO_LOG;
    const number = this.player.timeline.trace.logs.findIndex(
      ({ luid, uuid }) => luid === log.luid && uuid === log.uuid,
    );
    return number < 0 ? NO_LOG : number;
  }

  /** Makes the regions of the events since the last frame flash. */
  private flash(nowMs: number): void {
    const { timeline } = this.player;
    const { position, trace, index } = timeline;
    const from = this.positionDrawn;
    this.positionDrawn = position;
    const number = this.numberOf(this.log);
    if (from < 0 || position <= from || this.stillness.matches) return;
    for (let event = Math.max(from, position - FLASHED_EVENTS_MAX); event < position; event++) {
      if (index.log(event) !== number) continue;
      eachRegion(this.abi, readEvent(trace, event).input, (region, touch) => {
        if (touch !== "ask") this.map.flashes.add(region, touch, nowMs);
      });
    }
  }

  /** The requested source cannot be opened. A page that shows nothing else then shows the default source. */
  private failed(words: string): void {
    this.say(words);
    if (!this.player.hasSource) this.opener.openScene();
  }

  private say(words: string): void {
    this.saidMs = performance.now();
    setText(this.status, words);
  }
}
