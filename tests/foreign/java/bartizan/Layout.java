package bartizan;

import com.sun.jna.Structure;
import java.lang.reflect.Modifier;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What the JNA binding believes of the C ABI, for comparison with the header: its structures, prototypes and numbers. */
final class Layout {
    private static final Map<Class<?>, String> KINDS = Map.of(void.class, "void", long.class, "64", int.class, "32");

    public static void main(String[] args) throws ReflectiveOperationException {
        for (Abi.Layout type : new Abi.Layout[] {Abi.STR, Abi.HEADER, Abi.TLS_INFO, Abi.VIEW, Abi.EVENT}) {
            var name = type.getClass().getSimpleName();
            System.out.printf("struct %s %d%n", name, type.size());
            for (String field : type.getClass().getAnnotation(Structure.FieldOrder.class).value()) {
                var member = type.getClass().getField(field).getType();
                int size = member.isArray() ? 24 : member == int.class ? 4
                        : !Structure.class.isAssignableFrom(member) ? 8
                        : Structure.newInstance(member.asSubclass(Structure.class)).size();
                System.out.printf("field %s %s %d %d%n", name, field, type.at(field), size);
            }
        }
        for (var field : Abi.class.getDeclaredFields()) {
            if (field.getType() == int.class) {
                var name = field.getName().equals("ABI") ? "BARTIZAN_ABI" : field.getName();
                System.out.printf("constant %s %d%n", name, field.getInt(null));
            }
        }
        for (var method : Abi.class.getDeclaredMethods()) {
            if (Modifier.isNative(method.getModifiers())) {
                var kinds = Stream.concat(Stream.of(method.getReturnType()), Stream.of(method.getParameterTypes()));
                System.out.println("function " + method.getName() + " "
                        + kinds.map(kind -> KINDS.getOrDefault(kind, "ptr")).collect(Collectors.joining(" ")));
            }
        }
    }
}
