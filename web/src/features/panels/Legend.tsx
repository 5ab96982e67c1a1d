import { Box, Group, Text } from '@mantine/core';

/** What the lines are, and their values. */
export function Legend({ items }: { items: { label: string; color: string; value: string }[] }) {
  return (
    <Group gap="xs" mih={items.length > 3 ? 48 : 22} align="flex-start" mt={2} mb={4}>
      {items.slice(0, 8).map((item) => (
        <Group key={item.label} gap={5} wrap="nowrap">
          <Box w={10} h={3} style={{ borderRadius: 2, background: item.color }} aria-hidden />
          <Text fz={11} c="dimmed" truncate maw={120}>
            {item.label}
          </Text>
          <Text fz={11} fw={600} className="weir-number">
            {item.value}
          </Text>
        </Group>
      ))}
    </Group>
  );
}
