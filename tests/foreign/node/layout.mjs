// What the koffi binding believes of the C ABI, for comparison with the header: its structures, prototypes and numbers.

import { c, numbers, structures } from './binding.mjs';

const KINDS = { Int32: 'i32', UInt32: 'u32', Int64: 'i64', UInt64: 'u64', Void: 'void', Pointer: 'ptr', String: 'ptr' };
const kind = (type) => KINDS[type.primitive];

for (const type of Object.values(structures)) {
  console.log('struct', type.name, type.size);
  for (const { name, type: member, offset } of Object.values(type.members)) {
    console.log('field', type.name, name, offset, member.size);
  }
}
for (const [name, value] of Object.entries(numbers)) console.log('constant', name, value);
for (const [name, { info }] of Object.entries(c)) {
  console.log('function', `bartizan_${name}`, kind(info.result), ...info.arguments.map(({ type }) => kind(type)));
}
