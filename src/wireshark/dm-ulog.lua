-- Shows dm-ulog's traces in Wireshark and tshark: the kernel's requests and the answers (interface netlink), what the host
-- told the core and what the core asked of it (interface dm-ulog). Requests are shown in any capture of netlink.
--
--   tshark -X lua_script:dm-ulog.lua -r FILE
--
-- Nothing in a file is trusted: what is shorter than it says is shown as far as it goes, with a note of an expert.

local dm_ulog = Proto("dm_ulog", "dm-log-userspace")
local host = Proto("dm_ulog_host", "dm-ulog host and core")

local REQUESTS = {
  "CTR", "DTR", "PRESUSPEND", "POSTSUSPEND", "RESUME", "GET_REGION_SIZE", "IS_CLEAN", "IN_SYNC", "FLUSH", "MARK_REGION",
  "CLEAR_REGION", "GET_RESYNC_WORK", "SET_REGION_SYNC", "GET_SYNC_COUNT", "STATUS_INFO", "STATUS_TABLE",
  "IS_REMOTE_RECOVERING",
}
local NLMSG_TYPES = { [1] = "NLMSG_NOOP", [2] = "NLMSG_ERROR", [3] = "NLMSG_DONE", [4] = "NLMSG_OVERRUN" }
-- Errors that a log gives, as Linux numbers them.
local ERRORS = {
  [0] = "success", [1] = "EPERM", [2] = "ENOENT", [3] = "ESRCH", [4] = "EINTR", [5] = "EIO", [6] = "ENXIO", [7] = "E2BIG",
  [9] = "EBADF", [11] = "EAGAIN", [12] = "ENOMEM", [13] = "EACCES", [14] = "EFAULT", [16] = "EBUSY", [17] = "EEXIST",
  [19] = "ENODEV", [20] = "ENOTDIR", [21] = "EISDIR", [22] = "EINVAL", [24] = "EMFILE", [26] = "ETXTBSY", [27] = "EFBIG",
  [28] = "ENOSPC", [30] = "EROFS", [34] = "ERANGE", [38] = "ENOSYS", [42] = "ENOMSG", [61] = "ENODATA", [62] = "ETIME",
  [95] = "EOPNOTSUPP", [110] = "ETIMEDOUT", [121] = "EREMOTEIO",
}
local INPUTS = { [1] = "DATAGRAM", [2] = "COMPLETION", [3] = "TICK", [4] = "RESTORE", [5] = "CONFIGURE", [0x100] = "SNAPSHOT PART" }
local EFFECTS = {
  [1] = "SEND", [2] = "NOTICE", [3] = "OPEN", [4] = "READ", [5] = "WRITE", [6] = "CLOSE", [7] = "FLUSH_LEGS", [8] = "WAKE",
  [9] = "STATE_CREATE", [10] = "STATE_WRITE", [11] = "STATE_DELETE", [0x100] = "TRAP",
}

local NLMSG_BYTES, CN_BYTES, ULOG_BYTES = 16, 20, 160
local FRAME_BYTES = NLMSG_BYTES + CN_BYTES + ULOG_BYTES
local CN_IDX_DM, CN_VAL_DM_USERSPACE_LOG = 7, 1
-- Of a capture of netlink: what stands before each datagram, and the protocol that it names at its end.
local COOKED_BYTES, NETLINK_CONNECTOR = 16, 11
local HEAD_BYTES = 24

local f = {
  packet_type = ProtoField.uint16("dm_ulog.packet_type", "Packet type", base.DEC, { [0] = "to us", [4] = "sent by us" }),
  sender = ProtoField.uint32("dm_ulog.sender_port", "Port of the sender"),
  protocol = ProtoField.uint16("dm_ulog.protocol", "Protocol", base.DEC, { [NETLINK_CONNECTOR] = "connector" }),
  nl_len = ProtoField.uint32("dm_ulog.nlmsg_len", "Length of the message"),
  nl_type = ProtoField.uint16("dm_ulog.nlmsg_type", "Type", base.DEC, NLMSG_TYPES),
  nl_flags = ProtoField.uint16("dm_ulog.nlmsg_flags", "Flags", base.HEX),
  nl_seq = ProtoField.uint32("dm_ulog.nlmsg_seq", "Sequence"),
  nl_pid = ProtoField.uint32("dm_ulog.nlmsg_pid", "Port"),
  cn_idx = ProtoField.uint32("dm_ulog.cn.idx", "Index", base.DEC, { [CN_IDX_DM] = "CN_IDX_DM" }),
  cn_val = ProtoField.uint32("dm_ulog.cn.val", "Value", base.DEC, { [CN_VAL_DM_USERSPACE_LOG] = "CN_VAL_DM_USERSPACE_LOG" }),
  cn_seq = ProtoField.uint32("dm_ulog.cn.seq", "Sequence"),
  cn_ack = ProtoField.uint32("dm_ulog.cn.ack", "Acknowledges"),
  cn_len = ProtoField.uint16("dm_ulog.cn.len", "Length"),
  cn_flags = ProtoField.uint16("dm_ulog.cn.flags", "Flags", base.HEX),
  luid = ProtoField.uint64("dm_ulog.luid", "LUID", base.HEX),
  uuid = ProtoField.string("dm_ulog.uuid", "UUID"),
  version = ProtoField.uint32("dm_ulog.version", "Version"),
  error = ProtoField.int32("dm_ulog.error", "Error"),
  seq = ProtoField.uint32("dm_ulog.seq", "Number"),
  type = ProtoField.uint32("dm_ulog.type", "Request", base.DEC, REQUESTS, 0xff),
  size = ProtoField.uint32("dm_ulog.data_size", "Bytes of data"),
  is_reply = ProtoField.bool("dm_ulog.reply", "From the log to the kernel"),
  region = ProtoField.uint64("dm_ulog.region", "Region"),
  region_size = ProtoField.uint64("dm_ulog.region_size", "Region size in sectors"),
  sync_count = ProtoField.uint64("dm_ulog.sync_count", "Regions in sync"),
  in_sync = ProtoField.uint64("dm_ulog.in_sync", "In sync", base.DEC, { [0] = "no", [1] = "yes" }),
  clean = ProtoField.uint64("dm_ulog.clean", "Clean", base.DEC, { [0] = "no", [1] = "yes" }),
  has_work = ProtoField.uint64("dm_ulog.resync_work", "Is there work", base.DEC, { [0] = "no", [1] = "yes" }),
  recovering = ProtoField.uint64("dm_ulog.remote_recovering", "Being recovered", base.DEC, { [0] = "no", [1] = "yes" }),
  text = ProtoField.string("dm_ulog.text", "Text"),
  data = ProtoField.bytes("dm_ulog.data", "Data"),
}
dm_ulog.fields = f

local h = {
  input = ProtoField.uint32("dm_ulog_host.input", "Input", base.DEC, INPUTS),
  effect = ProtoField.uint32("dm_ulog_host.effect", "Effect", base.DEC, EFFECTS),
  size = ProtoField.uint32("dm_ulog_host.payload_size", "Bytes of payload"),
  handle = ProtoField.uint32("dm_ulog_host.handle", "Log, by its handle"),
  bytes = ProtoField.uint32("dm_ulog_host.size", "Size"),
  offset = ProtoField.uint64("dm_ulog_host.offset", "Offset"),
  ticket = ProtoField.uint64("dm_ulog_host.ticket", "Ticket"),
  done = ProtoField.uint32("dm_ulog_host.completed", "Effect that is done", base.DEC, EFFECTS),
  error = ProtoField.int32("dm_ulog_host.error", "Error"),
  device_size = ProtoField.uint64("dm_ulog_host.device_size", "Size of the device"),
  major = ProtoField.uint32("dm_ulog_host.major", "Major"),
  minor = ProtoField.uint32("dm_ulog_host.minor", "Minor"),
  at = ProtoField.uint64("dm_ulog_host.wake", "Time, ns"),
  quiet = ProtoField.uint64("dm_ulog_host.quiet", "Quiet time, ns"),
  lazy = ProtoField.uint32("dm_ulog_host.lazy_regions", "Most regions lazily clean"),
  ahead = ProtoField.uint32("dm_ulog_host.ahead_regions", "Most regions marked ahead, and one"),
  block = ProtoField.uint32("dm_ulog_host.block_size", "Block size"),
  notice = ProtoField.uint32("dm_ulog_host.notice", "Notice"),
  detail = ProtoField.uint64("dm_ulog_host.detail", "Detail"),
  luid = ProtoField.uint64("dm_ulog_host.luid", "LUID", base.HEX),
  uuid = ProtoField.string("dm_ulog_host.uuid", "UUID"),
  path = ProtoField.string("dm_ulog_host.path", "Path"),
  text = ProtoField.string("dm_ulog_host.text", "Text"),
  memory_offset = ProtoField.uint64("dm_ulog_host.memory_offset", "Offset in linear memory"),
  memory_size = ProtoField.uint64("dm_ulog_host.memory_size", "Size of linear memory"),
  written = ProtoField.bytes("dm_ulog_host.written", "Bytes written"),
  data = ProtoField.bytes("dm_ulog_host.data", "Data"),
}
host.fields = h

local short = ProtoExpert.new("dm_ulog.short", "There is less than its length says", expert.group.UNDECODED, expert.severity.WARN)
local host_short =
  ProtoExpert.new("dm_ulog_host.short", "There is less than its length says", expert.group.UNDECODED, expert.severity.WARN)
dm_ulog.experts = { short }
host.experts = { host_short }

local interface_name = Field.new("frame.interface_name")
local direction_field = Field.new("frame.packet_flags_direction")
local packet_id = Field.new("frame.packet_id")

local FROM_CORE = 2

--- Whether the frame is one that the core sent; a capture without directions does not tell.
local function is_from_core()
  local direction = direction_field()
  return direction ~= nil and direction.value == FROM_CORE
end

local function error_words(value)
  local name = ERRORS[value < 0 and -value or value]
  return name and string.format("%d (%s)", value, name) or tostring(value)
end

--- Characters up to a NUL.
local function text_of(tvb)
  local bytes = tvb:bytes()
  local length = 0
  while length < tvb:len() and bytes:get_index(length) ~= 0 do length = length + 1 end
  return length == 0 and "" or tvb(0, length):string()
end

local function add_regions(tree, data, count)
  for i = 0, math.min(count, math.floor(data:len() / 8)) - 1 do
    tree:add_le(f.region, data(i * 8, 8))
  end
end

--- For the list of packets: regions as numbers.
local function regions_words(data)
  local SHOWN = 8
  local count = math.floor(data:len() / 8)
  local words = {}
  for i = 0, math.min(count, SHOWN) - 1 do
    words[#words + 1] = tostring(data(i * 8, 8):le_uint64())
  end
  if count > SHOWN then words[#words + 1] = "..." end
  return table.concat(words, ", ")
end

local function u64_words(data, at)
  return tostring(data(at, 8):le_uint64())
end

--- What a request's data mean, by its type. Each returns words for the list of packets.
local function marks(tree, data)
  add_regions(tree, data, math.huge)
  return data:len() >= 8 and "region " .. regions_words(data) or ""
end

local function one_region(tree, data)
  add_regions(tree, data, 1)
  return data:len() >= 8 and "region " .. u64_words(data, 0) or ""
end

local function constructor(tree, data)
  if data:len() == 0 then return "" end
  local words = text_of(data)
  tree:add(f.text, data, words)
  return '"' .. words .. '"'
end

local function one_number(field, what)
  return function(tree, data)
    if data:len() < 8 then return "" end
    tree:add_le(field, data(0, 8))
    return what .. " " .. u64_words(data, 0)
  end
end

local function number_and_region(field, what)
  return function(tree, data)
    if data:len() < 16 then return "" end
    tree:add_le(field, data(0, 8))
    tree:add_le(f.region, data(8, 8))
    return what .. " " .. u64_words(data, 0) .. ", region " .. u64_words(data, 8)
  end
end

local function sync_state(tree, data)
  if data:len() < 16 then return "" end
  tree:add_le(f.region, data(0, 8))
  tree:add_le(f.in_sync, data(8, 8))
  return "region " .. u64_words(data, 0) .. ", in sync " .. u64_words(data, 8)
end

local REQUEST_DATA = {
  CTR = constructor,
  FLUSH = marks,
  MARK_REGION = marks,
  CLEAR_REGION = marks,
  IS_CLEAN = one_region,
  IN_SYNC = one_region,
  IS_REMOTE_RECOVERING = one_region,
  SET_REGION_SYNC = sync_state,
}
local REPLY_DATA = {
  CTR = constructor,
  GET_REGION_SIZE = one_number(f.region_size, "region size"),
  GET_SYNC_COUNT = one_number(f.sync_count, "in sync"),
  IS_CLEAN = one_number(f.clean, "clean"),
  IN_SYNC = one_number(f.in_sync, "in sync"),
  GET_RESYNC_WORK = number_and_region(f.has_work, "work"),
  IS_REMOTE_RECOVERING = number_and_region(f.recovering, "recovering"),
  STATUS_INFO = constructor,
  STATUS_TABLE = constructor,
}

local function add_cooked(tvb, tree)
  local cooked = tree:add(dm_ulog, tvb, "Cooked header of netlink")
  cooked:add(f.packet_type, tvb(0, 2))
  if tvb(4, 2):uint() >= 4 then cooked:add(f.sender, tvb(6, 4)) end
  cooked:add(f.protocol, tvb(14, 2))
end

local function add_headers(tvb, tree)
  local nl = tree:add(dm_ulog, tvb(0, NLMSG_BYTES), "Netlink message")
  nl:add_le(f.nl_len, tvb(0, 4))
  nl:add_le(f.nl_type, tvb(4, 2))
  nl:add_le(f.nl_flags, tvb(6, 2))
  nl:add_le(f.nl_seq, tvb(8, 4))
  nl:add_le(f.nl_pid, tvb(12, 4))
  local cn = tree:add(dm_ulog, tvb(NLMSG_BYTES, CN_BYTES), "Connector message")
  cn:add_le(f.cn_idx, tvb(16, 4))
  cn:add_le(f.cn_val, tvb(20, 4))
  cn:add_le(f.cn_seq, tvb(24, 4))
  cn:add_le(f.cn_ack, tvb(28, 4))
  cn:add_le(f.cn_len, tvb(32, 2))
  cn:add_le(f.cn_flags, tvb(34, 2))
end

local function add_request(tvb, tree, is_reply)
  local request = tree:add(dm_ulog, tvb(36), "Request of the dirty log")
  request:add_le(f.luid, tvb(36, 8))
  local uuid = text_of(tvb(44, 129))
  request:add(f.uuid, tvb(44, 129), uuid)
  request:add_le(f.version, tvb(176, 4))
  local error = tvb(180, 4):le_int()
  request:add_le(f.error, tvb(180, 4)):append_text(" (" .. (ERRORS[-error] or ERRORS[error] or "unknown") .. ")")
  request:add_le(f.seq, tvb(184, 4))
  request:add_le(f.type, tvb(188, 4))
  request:add_le(f.size, tvb(192, 4))
  request:add(f.is_reply, is_reply):set_generated()
  local name = REQUESTS[tvb(188, 4):le_uint() % 256] or "unknown request"
  local claimed = tvb(192, 4):le_uint()
  local held = math.min(claimed, tvb:reported_length_remaining(FRAME_BYTES), tvb:len() - FRAME_BYTES)
  if held < claimed then request:add_proto_expert_info(short) end

  local words = ""
  if held > 0 then
    local data = tvb(FRAME_BYTES, held)
    local show = (is_reply and REPLY_DATA or REQUEST_DATA)[name]
    if is_reply and error ~= 0 then show = nil end
    if show ~= nil then words = show(request, data) else request:add(f.data, data) end
  end
  if is_reply then
    words = error ~= 0 and error_words(error) or (words == "" and "done" or words)
  end
  local line = string.format("%s%s #%u %s", name, is_reply and " reply" or "", tvb(184, 4):le_uint(), uuid)
  return words == "" and line or line .. ": " .. words
end

--- Whether a packet of netlink, its cooked header included, is of the connector.
local function is_connector(tvb)
  return tvb:len() >= COOKED_BYTES and tvb(14, 2):uint() == NETLINK_CONNECTOR
end

local function is_dm_ulog(tvb)
  return tvb(16, 4):le_uint() == CN_IDX_DM and tvb(20, 4):le_uint() == CN_VAL_DM_USERSPACE_LOG
end

local function dissect_message(tvb, pinfo, top)
  local line
  if tvb:len() < NLMSG_BYTES + CN_BYTES then
    pinfo.cols.protocol = "connector"
    line = "a message that is not all there"
    if tvb:len() > 0 then top:add(f.data, tvb()) end
    top:add_proto_expert_info(short)
  else
    add_headers(tvb, top)
    local is_request = is_dm_ulog(tvb)
    pinfo.cols.protocol = is_request and "dm-ulog" or "connector"
    if is_request and tvb:len() >= FRAME_BYTES then
      line = add_request(tvb, top, is_from_core())
    elseif is_request then
      line = "a request that is not all there"
      top:add_proto_expert_info(short)
    else
      line = string.format("a message of connector %u.%u", tvb(16, 4):le_uint(), tvb(20, 4):le_uint())
      if tvb:len() > NLMSG_BYTES + CN_BYTES then top:add(f.data, tvb(NLMSG_BYTES + CN_BYTES)) end
    end
  end
  top:append_text(", " .. line)
  pinfo.cols.info = line
end

--- Adds the head that effects on a log have; returns false where there is less.
local function add_head(tvb, tree)
  if tvb:len() < HEAD_BYTES then return false end
  tree:add_le(h.handle, tvb(0, 4))
  tree:add_le(h.bytes, tvb(4, 4))
  tree:add_le(h.offset, tvb(8, 8))
  tree:add_le(h.ticket, tvb(16, 8))
  return true
end

local function add_log_name(tvb, tree)
  if tvb:len() < 9 then return "" end
  tree:add_le(h.luid, tvb(0, 8))
  local uuid = text_of(tvb(8, math.min(129, tvb:len() - 8)))
  tree:add(h.uuid, tvb(8), uuid)
  return uuid
end

local function head_words(tvb)
  return string.format("log %u, %u bytes at %s", tvb(0, 4):le_uint(), tvb(4, 4):le_uint(), u64_words(tvb, 8))
end

local function rest(tvb, from)
  return tvb:len() > from and tvb(from) or nil
end

--- Inputs other than datagrams. Each returns words for the list of packets.
local INPUT_PAYLOAD = {
  COMPLETION = function(tvb, tree)
    if tvb:len() < HEAD_BYTES + 8 or not add_head(tvb, tree) then return nil end
    tree:add_le(h.done, tvb(24, 4))
    local error = tvb(28, 4):le_int()
    tree:add_le(h.error, tvb(28, 4)):append_text(" (" .. (ERRORS[-error] or "unknown") .. ")")
    local effect = EFFECTS[tvb(24, 4):le_uint()] or "unknown effect"
    local data = rest(tvb, 32)
    if effect == "OPEN" and data and data:len() >= 16 then
      tree:add_le(h.device_size, data(0, 8))
      tree:add_le(h.major, data(8, 4))
      tree:add_le(h.minor, data(12, 4))
    elseif data then
      tree:add(h.data, data)
    end
    return effect .. ", " .. head_words(tvb) .. ": " .. error_words(error)
  end,
  TICK = function() return "" end,
  RESTORE = function(tvb, tree)
    if not add_head(tvb, tree) then return nil end
    local data = rest(tvb, HEAD_BYTES)
    if data then tree:add(h.data, data) end
    return head_words(tvb)
  end,
  CONFIGURE = function(tvb, tree)
    if tvb:len() < 24 then return nil end
    tree:add_le(h.quiet, tvb(0, 8))
    tree:add_le(h.lazy, tvb(8, 4))
    tree:add_le(h.block, tvb(12, 4))
    tree:add_le(h.ahead, tvb(16, 4))
    return ""
  end,
  ["SNAPSHOT PART"] = function(tvb, tree)
    if tvb:len() < 24 then return nil end
    tree:add_le(h.memory_offset, tvb(0, 8))
    tree:add_le(h.memory_size, tvb(8, 8))
    local data = rest(tvb, 24)
    if data then tree:add(h.data, data) end
    return string.format("%d bytes at %s", tvb:len() - 24, u64_words(tvb, 0))
  end,
}

--- Effects by name. Each adds what is beside the head, and returns words for the list of packets.
local EFFECT_PAYLOAD = {
  OPEN = function(tvb, tree)
    local path = text_of(tvb(HEAD_BYTES))
    tree:add(h.path, tvb(HEAD_BYTES), path)
    return path
  end,
  FLUSH_LEGS = function(tvb, tree) return add_log_name(tvb(HEAD_BYTES), tree) end,
}

local function add_notice(tvb, tree)
  if tvb:len() < 24 then return nil end
  tree:add_le(h.notice, tvb(0, 4))
  tree:add_le(h.error, tvb(4, 4))
  tree:add_le(h.detail, tvb(8, 8))
  return string.format("%u of %s", tvb(0, 4):le_uint(), add_log_name(tvb(16), tree))
end

local function effect_payload(name, tvb, tree)
  if name == "NOTICE" then return add_notice(tvb, tree) end
  if name == "TRAP" then
    tree:add(h.text, tvb)
    return text_of(tvb)
  end
  if name == "WAKE" then
    if tvb:len() < 8 then return nil end
    tree:add_le(h.at, tvb(0, 8))
    return u64_words(tvb, 0)
  end
  if EFFECTS[name] == nil and not add_head(tvb, tree) then return nil end
  local more = EFFECT_PAYLOAD[name]
  if more ~= nil and tvb:len() > HEAD_BYTES then return more(tvb, tree) end
  return nil
end

local function pad8(bytes)
  return bytes + (-bytes) % 8
end

-- A long stream of effects goes on in the event's next packet: how many bytes of the last record are still to come, by the
-- number of the frame that has them. Filled when frames are seen in order for the first time.
local carried = {}
local open_event = nil
local open_bytes = 0

function host.init()
  carried = {}
  open_event = nil
  open_bytes = 0
end

--- Adds the records of a stream. Returns the bytes of the last one that are not here, and words for the list of packets.
local function add_effects(tvb, tree, skip)
  local at = math.min(skip, tvb:len())
  local names, counts = {}, {}
  if at > 0 then tree:add(h.written, tvb(0, at)):append_text(" (goes on from the packet before)") end
  if skip > at then return skip - at, names, counts end
  while at + 8 <= tvb:len() do
    local kind = tvb(at, 4):le_uint()
    local size = tvb(at + 4, 4):le_uint()
    local name = EFFECTS[kind] or "effect " .. kind
    local payload = name == "SEND" and 0 or size
    local bytes = 8 + pad8(payload)
    local written = 0
    if (name == "WRITE" or name == "STATE_WRITE") and size >= HEAD_BYTES and at + 16 <= tvb:len() then
      written = tvb(at + 12, 4):le_uint()
      bytes = bytes + pad8(written)
    end
    local here = math.min(bytes, tvb:len() - at)
    local record = tree:add(host, tvb(at, here), name)
    record:add_le(h.effect, tvb(at, 4))
    record:add_le(h.size, tvb(at + 4, 4))
    local held = math.min(payload, tvb:len() - at - 8)
    local words = held > 0 and effect_payload(name, tvb(at + 8, held), record) or nil
    if words ~= nil and words ~= "" then record:append_text(": " .. words) end
    local from = at + 8 + pad8(payload)
    if written > 0 and from < tvb:len() then
      record:add(h.written, tvb(from, math.min(written, tvb:len() - from)))
    end
    if counts[name] == nil then names[#names + 1] = name end
    counts[name] = (counts[name] or 0) + 1
    if bytes > here then
      record:append_text(" (goes on in the next packet)")
      return bytes - here, names, counts
    end
    at = at + bytes
  end
  return 0, names, counts
end

local function effects_words(names, counts)
  local words = {}
  for _, name in ipairs(names) do
    words[#words + 1] = counts[name] > 1 and name .. " x" .. counts[name] or name
  end
  return #words == 0 and "effects go on" or table.concat(words, ", ")
end

local function add_input(tvb, tree)
  tree:add_le(h.input, tvb(0, 4))
  tree:add_le(h.size, tvb(4, 4))
  local kind = tvb(0, 4):le_uint()
  local name = INPUTS[kind] or "input " .. kind
  local show = INPUT_PAYLOAD[name]
  local payload = rest(tvb, 8)
  local claimed = tvb(4, 4):le_uint()
  if claimed > tvb:len() - 8 then tree:add_proto_expert_info(host_short) end
  if payload == nil then return name end
  local words = show and show(payload, tree)
  if words == nil then tree:add(h.data, payload) end
  return (words == nil or words == "") and name or name .. ": " .. words
end

--- The packets before this one in the file decide how it begins: seen in order at first, remembered then.
local function carried_bytes(pinfo)
  if not pinfo.visited then
    local id = packet_id()
    local event = id and tostring(id.value)
    carried[pinfo.number] = event ~= nil and event == open_event and open_bytes or 0
  end
  return carried[pinfo.number] or 0
end

local function carry(pinfo, bytes)
  if pinfo.visited then return end
  local id = packet_id()
  open_event = id and tostring(id.value)
  open_bytes = bytes
end

local function dissect_host(tvb, pinfo, tree)
  pinfo.cols.protocol = "dm-ulog host"
  local top = tree:add(host, tvb())
  if tvb:len() < 8 then
    top:add_proto_expert_info(host_short)
    return
  end
  local line
  if is_from_core() then
    local left, names, counts = add_effects(tvb, top, carried_bytes(pinfo))
    carry(pinfo, left)
    line = "-> " .. effects_words(names, counts)
  else
    line = add_input(tvb, top)
    carry(pinfo, 0)
  end
  top:append_text(", " .. line)
  pinfo.cols.info = line
end

local encapsulations = DissectorTable.get("wtap_encap")
local names = wtap or wtap_encaps
local other_netlink = encapsulations:get_dissector(names.NETLINK)
local other_user = encapsulations:get_dissector(names.USER0)

-- Wireshark's own dissector for netlink hands on no message of the type that the connector sends all of its own as.
function dm_ulog.dissector(tvb, pinfo, tree)
  if is_connector(tvb) then
    local top = tree:add(dm_ulog, tvb())
    add_cooked(tvb(0, COOKED_BYTES), top)
    if tvb:len() > COOKED_BYTES then dissect_message(tvb(COOKED_BYTES):tvb(), pinfo, top) end
  elseif other_netlink ~= nil then
    other_netlink:call(tvb, pinfo, tree)
  end
end

-- User encapsulations are anybody's: only the interface with dm-ulog's name is taken.
function host.dissector(tvb, pinfo, tree)
  local name = interface_name()
  if name ~= nil and name.value == "dm-ulog" then
    dissect_host(tvb, pinfo, tree)
  elseif other_user ~= nil then
    other_user:call(tvb, pinfo, tree)
  end
end

encapsulations:add(names.NETLINK, dm_ulog)
encapsulations:add(names.USER0, host)
